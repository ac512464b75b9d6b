# A text file as a C++ constant: cmake -DTEXT=page.html -DSOURCE=page.cpp -DNAME=page_html -P embed_text.cmake
file(READ "${TEXT}" text)
file(WRITE "${SOURCE}" "#include <string_view>

namespace bitreel::embedded {

extern const std::string_view ${NAME};
const std::string_view ${NAME} = R\"embedded(${text})embedded\";

}  // namespace bitreel::embedded
")

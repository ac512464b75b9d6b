# cmake --install BUILD --prefix PREFIX: the program, the files that come with it and LibTorch's libraries, in a folder
# that can be moved. `--component system` adds the distribution's libraries, for machines that lack them; ./dev package
# makes an archive of both.
include(GNUInstallDirs)
set(private_libraries "${CMAKE_INSTALL_LIBDIR}/bitreel")
# DT_RPATH, not DT_RUNPATH (see dependencies.cmake): what these libraries load is found there too.
file(RELATIVE_PATH to_private_libraries "/${CMAKE_INSTALL_BINDIR}" "/${private_libraries}")
set_target_properties(bitreel PROPERTIES INSTALL_RPATH "$ORIGIN/${to_private_libraries}")
set_target_properties(bitreel_engine PROPERTIES INSTALL_RPATH "$ORIGIN")

# What every Linux system has, and must not come from another one.
set(of_the_system "^ld-linux" "^lib(c|m|dl|rt|pthread|resolv|util|anl)\\.so" "^linux-vdso")
set(of_the_distribution "^/lib" "^/usr/lib")
install(TARGETS bitreel COMPONENT program)
install(TARGETS bitreel_engine RUNTIME_DEPENDENCY_SET libtorch_libraries
  RUNTIME DESTINATION "${private_libraries}" COMPONENT program)
install(RUNTIME_DEPENDENCY_SET libtorch_libraries
  PRE_EXCLUDE_REGEXES ${of_the_system} POST_EXCLUDE_REGEXES ${of_the_distribution}
  LIBRARY DESTINATION "${private_libraries}" COMPONENT program)
# The same target once more for what the distribution brings, which only an archive holds.
install(TARGETS bitreel_engine RUNTIME_DEPENDENCY_SET system_libraries
  RUNTIME DESTINATION "${private_libraries}" COMPONENT system EXCLUDE_FROM_ALL)
# OpenMP comes with LibTorch: one of that name.
install(RUNTIME_DEPENDENCY_SET system_libraries
  PRE_EXCLUDE_REGEXES ${of_the_system} "^libgomp\\.so" POST_INCLUDE_REGEXES ${of_the_distribution} POST_EXCLUDE_REGEXES ".*"
  LIBRARY DESTINATION "${private_libraries}" COMPONENT system EXCLUDE_FROM_ALL)

set(shared "${CMAKE_INSTALL_DATADIR}/bitreel")
# A checkout without the joint model's weights has its recipe alone, which is of no use to a program.
set(assets assets/pocket assets/prompts)
if(EXISTS "${CMAKE_SOURCE_DIR}/assets/pocket-joint/model_index.json")
  list(APPEND assets assets/pocket-joint)
endif()
install(DIRECTORY ${assets} DESTINATION "${shared}/assets" COMPONENT program
  PATTERN recipe EXCLUDE PATTERN evidence EXCLUDE)
install(DIRECTORY configs DESTINATION "${shared}" COMPONENT program PATTERN results EXCLUDE)
install(FILES LICENSE README.md DESTINATION "${CMAKE_INSTALL_DOCDIR}" COMPONENT program)

# Completions and the manual page are the program's own output.
foreach(page IN ITEMS "bash;bash-completion/completions/bitreel" "zsh;zsh/site-functions/_bitreel"
                      "fish;fish/vendor_completions.d/bitreel.fish" "man;man/man1/bitreel.1")
  list(GET page 0 kind)
  list(GET page 1 path)
  set(file "${CMAKE_BINARY_DIR}/generated/${kind}/bitreel")
  get_filename_component(folder "${path}" DIRECTORY)
  get_filename_component(name "${path}" NAME)
  install(CODE "file(MAKE_DIRECTORY \"${CMAKE_BINARY_DIR}/generated/${kind}\")
    execute_process(COMMAND \"$<TARGET_FILE:bitreel>\" completion ${kind} OUTPUT_FILE \"${file}\" COMMAND_ERROR_IS_FATAL ANY)"
    COMPONENT program)
  install(FILES "${file}" DESTINATION "${CMAKE_INSTALL_DATADIR}/${folder}" RENAME "${name}" COMPONENT program)
endforeach()

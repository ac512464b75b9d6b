// A disk that refuses: one clear error and nothing left behind, whatever the codec.
#include <gmock/gmock.h>

#include "base/partial.h"
#include "pipelines/video/codecs.h"
#include "tests/error_text.h"
#include "tests/files.h"
#include "tests/full_disk.h"
#include "tests/pipelines/video/clips.h"

namespace bitreel::test {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::StartsWith;

std::string error_of_writing(const std::filesystem::path& path, const std::string& codec, rlim_t limit,
                             const nlohmann::json& provenance) {
  const FullDisk full(limit);
  return error_text([&] {
    VideoWriter writer(path, {.fps = 8, .codec = codec, .crf = std::nullopt}, 128, 96, provenance);
    for (int time = 0; time < 12; ++time) writer.push(noise(128, 96, time).frame());
    writer.finish();
  });
}

TEST(FullDisk, LeavesNothingWhateverTheCodec) {
  for (const Codec& codec : codecs()) {
    if (!codec.encoders.empty() && available_encoders(codec).empty()) continue;
    SCOPED_TRACE(codec.name);
    const TemporaryFolder folder;
    const auto path = codec.name == "png" ? folder / "frames/" : folder / ("clip." + std::string(codec.extensions[0]));
    EXPECT_THAT(error_of_writing(path, std::string(codec.name), 20'000, provenance_of("x")),
                ::testing::AllOf(HasSubstr("File too large"), ::testing::Not(HasSubstr("partial"))));
    EXPECT_THAT(folder.names(), IsEmpty());
  }
}

TEST(FullDisk, SparesTheClipThatWasThere) {
  const TemporaryFolder folder;
  write_text(folder / "clip.mp4", "an older clip");
  EXPECT_THAT(error_of_writing(folder / "clip.mp4", "", 20'000, nullptr), HasSubstr("clip.mp4"));
  EXPECT_THAT(folder.names(), ElementsAre("clip.mp4"));
  EXPECT_EQ(read_text(folder / "clip.mp4"), "an older clip");
}

TEST(FullDisk, TooFullForTheSidecarIsTooFullForTheClip) {
  const TemporaryFolder folder;
  const nlohmann::json provenance = provenance_of(std::string(300'000, 'x'));
  EXPECT_THAT(error_of_writing(folder / "clip.gif", "", 250'000, provenance),
              HasSubstr("clip.gif.json: cannot write: File too large"));
  EXPECT_THAT(folder.names(), IsEmpty());
}

TEST(WriteFile, SaysWhatTheDeviceSays) {
  EXPECT_THAT(error_text([] { write_file("/dev/full", "bytes", "clip.json"); }),
              StartsWith("clip.json: cannot write: No space left on device\n"));
}

}  // namespace
}  // namespace bitreel::test

// One clip of a batch, from whatever an earlier run has left of it to the file under its name.
//
//   ClipOfTask clip(task, "out", run);      // what an earlier run has left is found, else the clip begins anew
//   clip.encode();
//   denoise({&clip});                       // several in one batch, where their requests share it
//   clip.finish();                          // decoded into its file
//   const std::vector<std::string>& events = clip.events();
//
// As bitreel generate renders it, and alone bit for bit what that computes. An interrupted denoising goes on from its
// last kept step, a second old at most, and denoised latents are decoded, if the ledger says that this job was the last
// to be begun under the name. Both stay on the disk until on_file returns: at no moment can a crash lose more.
// Errors: as generate's. A sequence of pictures that an earlier job of this batch left under the name is removed first.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "app/batch/agenda.h"
#include "app/batch/embeddings.h"
#include "app/batch/model_pool.h"

namespace bitreel {

enum class NamesPictures { none, of_an_earlier_job };

struct TaskRun {
  ModelPool& models;
  Embeddings& embeddings;
  std::string last_begun;                        // the key of the job that was begun under this name before, if any
  NamesPictures pictures = NamesPictures::none;  // a folder of them under this name is the batch's to remove
  std::set<Phase> keep;
  std::size_t lanes = 1;                        // clips side by side (app/clip.h)
  std::function<std::vector<Request>()> ahead;  // embeddings.h
  std::function<void(std::int64_t done, std::int64_t of)> on_step;
  std::function<void(const std::vector<std::string>& events)> on_file;  // the clip has its name
};

class ClipOfTask {
 public:
  // task has to outlive this.
  ClipOfTask(const Task& task, const std::filesystem::path& folder, TaskRun run);
  ~ClipOfTask();
  ClipOfTask(const ClipOfTask&) = delete;
  ClipOfTask& operator=(const ClipOfTask&) = delete;

  [[nodiscard]] bool runs_on_gpu() const;
  // By an earlier run: encode() and denoise() have nothing to do.
  [[nodiscard]] bool is_denoised() const;
  void encode();
  void finish();
  // What a person should know of the clip, a sentence each: the sidecar's events.
  [[nodiscard]] const std::vector<std::string>& events() const;

 private:
  struct Work;
  std::unique_ptr<Work> work_;
  friend void denoise(const std::vector<ClipOfTask*>& clips);
};

// Of one model. What befalls one of several is thrown for all, whose kept work is as it is after a kill: each of them
// made anew goes on from it.
void denoise(const std::vector<ClipOfTask*>& clips);

// A done clip's, which a crash kept from being removed.
void remove_kept_work(const Task& task, const std::filesystem::path& folder);

// What killed runs left under names of their own beside these tasks' clips.
void remove_leftovers(const std::vector<const Task*>& tasks, const std::filesystem::path& folder);

}  // namespace bitreel

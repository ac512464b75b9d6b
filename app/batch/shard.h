// Many machines, one batch: which of its jobs are this one's.
//
//   const Shard shard = shard_asked_for("2/4");            // --shard; without a text from the cluster's variables
//   const std::vector<int> owner = deal(costs, 4);         // owner[job]: the shard's number, 1 to 4
//
// Slurm arrays: SLURM_ARRAY_TASK_ID with _MIN, _STEP and _COUNT. Kubernetes Indexed Jobs: JOB_COMPLETION_INDEX, which
// counts from 0, and JOB_COMPLETION_COUNT, which the Job's file has to set (configs/cluster/).
// Errors: UsageError for a text that is no K/N, and for variables that don't fit each other.
#pragma once

#include <string>
#include <vector>

namespace bitreel {

struct Shard {
  int number = 1;  // from 1
  int count = 1;
};

std::string name_of(Shard shard);  // "2-of-4"

// text: what --shard says; empty: the environment, and all of the batch where that says nothing.
Shard shard_asked_for(const std::string& text);

// Longest jobs first, each to the shard that has the least (the first of several): the same on every machine.
std::vector<int> deal(const std::vector<double>& costs, int shards);

}  // namespace bitreel

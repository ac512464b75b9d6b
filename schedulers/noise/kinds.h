// The schedulers that scheduler.cpp chooses from, one file each.
#pragma once

#include <memory>

#include "schedulers/noise/scheduler.h"

namespace bitreel {

std::unique_ptr<NoiseScheduler> make_ddim(NoiseSchedule schedule);
std::unique_ptr<NoiseScheduler> make_dpm(NoiseSchedule schedule);

}  // namespace bitreel

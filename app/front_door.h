// The program is two files. `bitreel-engine` is all of it. `bitreel`, which people run, is made of the same objects but
// without LibTorch's library, whose loading takes 0.3 s and 190 MB: in it every function of LibTorch is this one
// (cmake/libtorch_stand_ins.sh). So --version, --help, mistakes on the command line and whatever else needs no tensor
// is answered at once, and the first call into LibTorch becomes the whole program, with the same arguments.
//
// What a command does before that call is done again, so it may be nothing that others notice: commands resolve their
// settings and open their model before they write.
#pragma once

namespace bitreel {

// Replaces this process by bitreel-engine, which lies beside the program or, installed, in its library folder.
[[noreturn]] void become_engine();

}  // namespace bitreel

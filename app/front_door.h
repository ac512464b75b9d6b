// The program is two files of the same objects. `bitreel-engine` is all of it. `bitreel`, which people run, is linked
// without the libraries that take long to load (LibTorch registers its operators for 0.4 s, libav brings 160
// libraries): each function that it would take from them is become_whole() there (cmake/stand_ins.sh). So --version,
// --help, mistakes on the command line, plans and what else needs no tensor and no video is answered in 0.02 s; the
// first call of such a library starts the whole program, with the same arguments.
//
//   need_whole_program();              // what comes next must not happen twice
//   fs::create_directories(output);
//
// What a command did before that call is done again. So nothing that others notice may happen before it: a command that
// prints, writes or creates before it calls one of the libraries asks for the whole program first.
#pragma once

namespace bitreel {

// In `bitreel`: becomes the whole program. In the whole program: nothing.
void need_whole_program();

// Replaces this process by bitreel-engine, which lies beside the program or, installed, in its library folder.
[[noreturn]] void become_whole();

}  // namespace bitreel

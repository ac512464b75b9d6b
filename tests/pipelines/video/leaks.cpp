// libx265 3.5 leaves a kilobyte per encoder behind; every other leak still fails the sanitizer's run.
extern "C" const char* __lsan_default_suppressions();  // NOLINT(bugprone-reserved-identifier): the sanitizer's own name
extern "C" const char* __lsan_default_suppressions() {
  return "leak:libx265";
}  // NOLINT(bugprone-reserved-identifier)

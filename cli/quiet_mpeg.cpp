// Stands before libmpg123's own function of this name, by which libsndfile sets it up, and asks for
// silence: it would write to standard error of what it makes of a damaged file, or of one whose tag
// tells another size than it has.
#include <dlfcn.h>

namespace {

using SetParameter = int (*)(void* decoder, int parameter, long value, double real_value);
constexpr int kAddFlags = 2;   // MPG123_ADD_FLAGS
constexpr long kQuiet = 0x20;  // MPG123_QUIET

}  // namespace

extern "C" [[gnu::visibility("default")]] int mpg123_param2(void* decoder, int parameter,
                                                            long value, double real_value) {
  static const auto original = reinterpret_cast<SetParameter>(dlsym(RTLD_NEXT, "mpg123_param2"));
  return original(decoder, parameter, parameter == kAddFlags ? value | kQuiet : value, real_value);
}

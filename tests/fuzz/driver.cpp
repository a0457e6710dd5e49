// What libFuzzer calls. HOMEOSTAT_FUZZ_TARGET names the target of this program.
#include "tests/fuzz/target.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using homeostat::fuzz::Target;
    static const Target target = *std::ranges::find(homeostat::fuzz::targets(),
                                                    std::string_view(HOMEOSTAT_FUZZ_TARGET), &Target::name);
    const std::string wrong = target.run({reinterpret_cast<const char*>(data), size});
    if (wrong.empty()) return 0;
    std::fprintf(stderr, "%s: %s\n", HOMEOSTAT_FUZZ_TARGET, wrong.c_str());
    std::abort();
}

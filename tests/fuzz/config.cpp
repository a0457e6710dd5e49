#include "engine/config.hpp"

#include "engine/check.hpp"
#include "tests/fuzz/target.hpp"

namespace homeostat::fuzz {

std::string config(std::string_view bytes) {
    Diagnostics diagnostics;
    const auto read = read_config(bytes, "controller.toml", diagnostics);
    if (!read) return has_errors(diagnostics) ? places_outside(bytes, diagnostics) : "nothing, and no error";
    const bool usable = !has_errors(diagnostics);
    make_generation(*read, {}, {}, 1, diagnostics);
    if (usable && read->period < Duration{1}) return "a period below its limit";
    check_reloadable(*read, *read, diagnostics);
    return places_outside(bytes, diagnostics);
}

} // namespace homeostat::fuzz

#include "policies/template.hpp"
#include "tests/fuzz/target.hpp"

namespace homeostat::fuzz {

std::string template_text(std::string_view bytes) {
    const auto parsed = parse_template(bytes);
    if (!parsed) {
        const int offset = parsed.error().number;
        return offset < 0 || static_cast<std::size_t>(offset) >= bytes.size() ? "an offset outside the text"
                                                                              : "";
    }
    std::vector<Label> named;
    for (const std::string& label : parsed->labels()) named.push_back({label, "{{value}}"});
    if (!bind(*parsed, Labels(named))) return "all labels are there, and it cannot be bound";
    if (!named.empty() && bind(*parsed, {})) return "an absent label was bound";
    if (named.empty() && bind(*parsed, {}) != std::string(bytes)) return "text without labels was changed";
    return "";
}

} // namespace homeostat::fuzz

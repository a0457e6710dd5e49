#include "policies/when.hpp"

#include "tests/fuzz/target.hpp"

namespace homeostat::fuzz {

namespace {

SymptomMemory raised_for(const Labels& key) {
    SymptomMemory memory;
    SymptomInstance& instance = memory.instances[key];
    instance.state = SymptomState::raised;
    return memory;
}

} // namespace

std::string when(std::string_view bytes) {
    const auto parsed = parse_when(bytes);
    if (!parsed) {
        const int offset = parsed.error().number;
        return offset < 0 || static_cast<std::size_t>(offset) > bytes.size() ? "an offset outside the text"
                                                                             : "";
    }
    for (const auto& [name, offset] : symptoms_of(*parsed))
        if (bytes.substr(offset, name.size()) != name)
            return "'" + name + "' does not stand where it is told";
    const Labels on_both{{"iface", "eth0"}};
    const std::map<std::string, SymptomMemory> symptoms{
        {"a", raised_for(on_both)}, {"b", raised_for(on_both.with("src", "10.0.0.1"))}, {"c", {}}};
    for (const Labels& key : instances_of(*parsed, symptoms))
        if (!holds(*parsed, key, symptoms)) return "an instance for which the condition does not hold";
    return evidence_of(*parsed, on_both, symptoms).size() > bytes.size() ? "more evidence than names" : "";
}

} // namespace homeostat::fuzz

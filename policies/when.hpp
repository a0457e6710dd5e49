// An adaptation's condition over symptoms: names, `and`, `or`, `not`, parentheses.
#pragma once

#include "knowledge/error.hpp"
#include "knowledge/labels.hpp"
#include "knowledge/memory.hpp"

#include <map>
#include <set>
#include <string>
#include <string_view>
#include <vector>

namespace homeostat {

struct When {
    enum class Kind { symptom, all, any, negation };

    Kind kind = Kind::symptom;
    std::string symptom; // Kind::symptom
    std::size_t offset = 0;
    std::vector<When> operands; // one for a negation, else two or more

    bool operator==(const When&) const = default;
};

// Fails with Error::number as the offset of the mistake. A condition that nothing drives (only negations)
// is one: instances come from a positive symptom.
Result<When> parse_when(std::string_view text);

// As one writes it: "flood and not (a or b)".
std::string to_text(const When& when);

// Every symptom name in it, with its offset.
std::vector<std::pair<std::string, std::size_t>> symptoms_of(const When& when);

// The symptoms whose instances give those of the condition: of `and` the first operand that drives, of `or`
// all.
std::vector<std::string> drivers_of(const When& when);

// The label sets for which it holds. The first positive symptom drives: its raised instances are the
// candidates; another one counts where a raised instance agrees on all shared labels; `not`, where
// none agrees; under `or`, either side drives.
std::set<Labels> instances_of(const When& when, const std::map<std::string, SymptomMemory>& symptoms);

// The label sets that it is asked for: those of the symptoms that drive.
std::set<Labels> candidates_of(const When& when, const std::map<std::string, SymptomMemory>& symptoms);

// Whether it holds for this key.
bool holds(const When& when, const Labels& key, const std::map<std::string, SymptomMemory>& symptoms);

// For each symptom in it, a raised instance that agrees with the key, where there is one: what it is judged
// by.
std::vector<std::pair<std::string, const SymptomInstance*>>
evidence_of(const When& when, const Labels& key, const std::map<std::string, SymptomMemory>& symptoms);

} // namespace homeostat

#include "knowledge/error.hpp"

#include <algorithm>
#include <tuple>
#include <utility>

namespace homeostat {

std::string to_text(const Diagnostic& d) {
    std::string text = d.file;
    if (d.at.line > 0) text += ":" + std::to_string(d.at.line) + ":" + std::to_string(d.at.column);
    text += d.kind == Diagnostic::Kind::warning ? ": warning: " : ": ";
    text += d.what;
    if (!d.expected.empty()) text += "; " + d.expected;
    if (!d.name.empty()) text += " [" + d.name + "]";
    return text;
}

bool has_errors(const Diagnostics& diagnostics) {
    return std::ranges::any_of(diagnostics,
                               [](const Diagnostic& d) { return d.kind == Diagnostic::Kind::error; });
}

void put_in_order(Diagnostics& diagnostics) {
    std::ranges::stable_sort(diagnostics, {}, [](const Diagnostic& d) { return std::tie(d.file, d.at); });
    const auto same = std::ranges::unique(diagnostics);
    diagnostics.erase(same.begin(), same.end());
}

namespace {

// Optimal string alignment: insertions, deletions, substitutions and swaps of neighbours count 1 each.
std::size_t edit_distance(const std::string& a, const std::string& b) {
    std::vector<std::size_t> before(b.size() + 1);
    std::vector<std::size_t> last(b.size() + 1);
    std::vector<std::size_t> row(b.size() + 1);
    for (std::size_t j = 0; j < row.size(); ++j) row[j] = j;
    for (std::size_t i = 1; i <= a.size(); ++i) {
        before = std::exchange(last, row);
        row[0] = i;
        for (std::size_t j = 1; j <= b.size(); ++j) {
            row[j] = std::min({last[j] + 1, row[j - 1] + 1, last[j - 1] + (a[i - 1] == b[j - 1] ? 0 : 1)});
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
                row[j] = std::min(row[j], before[j - 2] + 1);
        }
    }
    return row.back();
}

constexpr std::size_t nearest_word_max = 100; // bytes; a longer word is no slip of the finger

} // namespace

std::string nearest(const std::string& word, const std::vector<std::string>& candidates) {
    std::string best;
    if (word.size() > nearest_word_max) return best;
    std::size_t best_distance = std::max<std::size_t>(1, word.size() / 3) + 1;
    for (const std::string& candidate : candidates) {
        const std::size_t insertions =
            std::max(word.size(), candidate.size()) - std::min(word.size(), candidate.size());
        if (insertions >= best_distance) continue;
        const std::size_t distance = edit_distance(word, candidate);
        if (distance < best_distance) {
            best_distance = distance;
            best = candidate;
        }
    }
    return best;
}

} // namespace homeostat

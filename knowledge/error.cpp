#include "knowledge/error.hpp"

#include <algorithm>
#include <numeric>

namespace homeostat {

std::string to_text(const Diagnostic& d) {
    std::string text = d.file;
    if (d.at.line > 0) text += ":" + std::to_string(d.at.line) + ":" + std::to_string(d.at.column);
    text += d.kind == Diagnostic::Kind::warning ? ": warning: " : ": ";
    text += d.what;
    if (!d.expected.empty()) text += "; " + d.expected;
    return text;
}

bool has_errors(const Diagnostics& diagnostics) {
    return std::ranges::any_of(diagnostics,
                               [](const Diagnostic& d) { return d.kind == Diagnostic::Kind::error; });
}

namespace {

// Levenshtein's distance, one row at a time.
std::size_t edit_distance(const std::string& a, const std::string& b) {
    std::vector<std::size_t> row(b.size() + 1);
    std::iota(row.begin(), row.end(), std::size_t{0});
    for (std::size_t i = 1; i <= a.size(); ++i) {
        std::size_t diagonal = row[0];
        row[0] = i;
        for (std::size_t j = 1; j <= b.size(); ++j) {
            const std::size_t substituted = diagonal + (a[i - 1] == b[j - 1] ? 0 : 1);
            diagonal = row[j];
            row[j] = std::min({row[j] + 1, row[j - 1] + 1, substituted});
        }
    }
    return row.back();
}

} // namespace

std::string nearest(const std::string& word, const std::vector<std::string>& candidates) {
    std::string best;
    std::size_t best_distance = std::max<std::size_t>(1, word.size() / 3) + 1;
    for (const std::string& candidate : candidates) {
        const std::size_t distance = edit_distance(word, candidate);
        if (distance < best_distance) {
            best_distance = distance;
            best = candidate;
        }
    }
    return best;
}

} // namespace homeostat

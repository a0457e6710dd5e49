#include "adapters/bpf/libbpf_log.hpp"

#include <bpf/libbpf.h>

#include <cstdarg>
#include <cstdio>
#include <mutex>
#include <utility>
#include <vector>

namespace homeostat::bpf {

namespace {

constexpr std::size_t verdict_lines_max = 16;

thread_local std::string* current = nullptr;

int append(libbpf_print_level level, const char* format, va_list arguments) {
    if (current == nullptr || level == LIBBPF_DEBUG) return 0;
    va_list again;
    va_copy(again, arguments);
    const int length = std::vsnprintf(nullptr, 0, format, again);
    va_end(again);
    if (length <= 0) return 0;
    const std::size_t old = current->size();
    current->resize(old + static_cast<std::size_t>(length) + 1);
    std::vsnprintf(current->data() + old, static_cast<std::size_t>(length) + 1, format, arguments);
    current->pop_back(); // the terminating zero
    return length;
}

std::vector<std::string_view> lines_of(std::string_view text) {
    std::vector<std::string_view> lines;
    while (!text.empty()) {
        const std::string_view line = text.substr(0, text.find('\n'));
        if (!line.empty()) lines.push_back(line);
        text.remove_prefix(std::min(text.size(), line.size() + 1));
    }
    return lines;
}

bool is_statistics(std::string_view line) {
    return line.starts_with("processed ") || line.starts_with("verification time ") ||
           line.starts_with("stack depth ");
}

} // namespace

LogCapture::LogCapture() {
    static std::once_flag once;
    std::call_once(once, [] { libbpf_set_print(append); });
    outer_ = std::exchange(current, &text_);
}

LogCapture::~LogCapture() { current = outer_; }

std::string LogCapture::last_line() const {
    const auto lines = lines_of(text_);
    if (lines.empty()) return {};
    std::string_view line = lines.back();
    if (line.starts_with("libbpf: ")) line.remove_prefix(8);
    return std::string(line);
}

std::string LogCapture::verifier_verdict() const {
    const auto begin = text_.rfind("-- BEGIN PROG LOAD LOG --\n");
    const auto end = text_.rfind("-- END PROG LOAD LOG --");
    if (begin == std::string::npos || end == std::string::npos || end < begin) return {};
    auto lines = lines_of(std::string_view(text_).substr(begin, end - begin));
    lines.erase(lines.begin());
    std::erase_if(lines, is_statistics);
    // From the last source line on; without line information, the last few lines.
    std::size_t first = lines.size() - std::min<std::size_t>(lines.size(), 4);
    for (std::size_t i = 0; i < lines.size(); ++i)
        if (lines[i].starts_with(';')) first = i;
    if (lines.size() - first > verdict_lines_max) first = lines.size() - verdict_lines_max;
    std::string verdict;
    for (std::size_t i = first; i < lines.size(); ++i)
        verdict += (verdict.empty() ? "" : "\n") + std::string(lines[i]);
    return verdict;
}

} // namespace homeostat::bpf

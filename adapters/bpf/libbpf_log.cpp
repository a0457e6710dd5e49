#include "adapters/bpf/libbpf_log.hpp"

#include <bpf/libbpf.h>

#include <cstdarg>
#include <cstdio>
#include <mutex>
#include <utility>

namespace homeostat::bpf {

namespace {

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

} // namespace

LogCapture::LogCapture() {
    static std::once_flag once;
    std::call_once(once, [] { libbpf_set_print(append); });
    outer_ = std::exchange(current, &text_);
}

LogCapture::~LogCapture() { current = outer_; }

std::string LogCapture::last_line() const {
    std::string_view line = text_;
    while (line.ends_with('\n')) line.remove_suffix(1);
    line = line.substr(line.rfind('\n') + 1);
    if (line.starts_with("libbpf: ")) line.remove_prefix(8);
    return std::string(line);
}

std::string_view verifier_log(std::string_view said) {
    constexpr std::string_view before = "-- BEGIN PROG LOAD LOG --\n";
    const auto begin = said.rfind(before);
    const auto end = said.rfind("-- END PROG LOAD LOG --");
    if (begin == std::string_view::npos || end == std::string_view::npos || end < begin) return {};
    return said.substr(begin + before.size(), end - begin - before.size());
}

} // namespace homeostat::bpf

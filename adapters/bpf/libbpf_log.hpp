// What libbpf has to say, caught for error texts instead of written to stderr.
#pragma once

#include <string>
#include <string_view>

namespace homeostat::bpf {

// While one is alive, libbpf's warnings of this thread collect in it. Outside of any, they are dropped: the
// first LogCapture of the process silences libbpf for good.
class LogCapture {
  public:
    LogCapture();
    LogCapture(const LogCapture&) = delete;
    LogCapture& operator=(const LogCapture&) = delete;
    ~LogCapture();

    const std::string& text() const { return text_; }

    // The last line, without libbpf's prefix: the nearest cause; "" where nothing was said.
    std::string last_line() const;

  private:
    std::string text_;
    std::string* outer_;
};

// The verifier's log in what libbpf said, of the last program that was rejected; "" where there is none.
std::string_view verifier_log(std::string_view said);

} // namespace homeostat::bpf

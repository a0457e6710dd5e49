// A program as a child process, and what it says as it says it. Every wait has an end; none is a sleep.
#pragma once

#include "adapters/lab/descriptor.hpp"
#include "adapters/lab/network.hpp"

#include <chrono>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <sys/types.h>

namespace homeostat::system_test {

// Far beyond what anything takes on a loaded machine with sanitizers: only a hang comes here.
inline constexpr std::chrono::seconds patience{60};

// With sanitizers a run over all mutants of a policy takes minutes: the release build does that.
#ifdef __SANITIZE_ADDRESS__
inline constexpr bool is_sanitized = true;
#else
inline constexpr bool is_sanitized = false;
#endif
inline constexpr const char* too_slow_here =
    "mutation takes minutes with sanitizers; the release build does it";

// The binary under test.
std::string homeostat();

struct Where {
    const lab::NetNamespace* in = nullptr; // null: this process's own
    std::filesystem::path folder{};        // the working directory; empty: this process's own
    std::vector<int> without{};            // capabilities that the child cannot have
};

// Movable; destroying it kills the child if it still runs.
class Child {
  public:
    static Child start(std::vector<std::string> words, const Where& where = {});
    Child(Child&& other) noexcept;
    Child& operator=(Child&&) = delete;
    ~Child();

    pid_t pid() const { return pid_; }

    // The next line of standard output, without its end; none once the child has ended. Throws if none
    // comes in time.
    std::optional<std::string> line();

    // Waits until standard error has this text. Throws if it does not come.
    void await_error(std::string_view text);

    void signal(int number) const;

    // Nobody reads what it says from here on.
    void hang_up();

    // Waits for the end. The exit code; 128 + N where signal N killed it.
    int wait();

    const std::string& out() const { return out_.text; } // so far
    const std::string& errors() const { return errors_.text; }

  private:
    struct Stream {
        lab::Descriptor pipe;
        std::string text;
        bool drain(); // whether something came
    };

    Child() = default;
    void listen(); // until something happens
    [[noreturn]] void give_up(const std::string& waited_for) const;

    pid_t pid_ = -1;
    lab::Descriptor process_;
    Stream out_;
    Stream errors_;
    std::size_t told_ = 0; // of standard output, by line()
    std::optional<int> code_;
    std::string words_;
};

struct Finished {
    int code = 0;
    std::string out;
    std::string errors;
};

// From start to end.
Finished run_to_end(std::vector<std::string> words, const Where& where = {});

} // namespace homeostat::system_test

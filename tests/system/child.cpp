#include "tests/system/child.hpp"

#include <array>
#include <cerrno>
#include <csignal>
#include <fcntl.h>
#include <linux/capability.h>
#include <poll.h>
#include <stdexcept>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <system_error>
#include <unistd.h>
#include <utility>

namespace homeostat::system_test {

namespace {

[[noreturn]] void fail(const std::string& operation) {
    throw std::system_error(errno, std::generic_category(), operation);
}

struct Pipe {
    lab::Descriptor read;
    lab::Descriptor write;
};

Pipe make_pipe() {
    std::array<int, 2> ends{};
    if (::pipe2(ends.data(), O_CLOEXEC) != 0) fail("pipe");
    Pipe made{lab::Descriptor(ends[0]), lab::Descriptor(ends[1])};
    ::fcntl(made.read.get(), F_SETFL, O_NONBLOCK);
    return made;
}

// In the child, between fork and exec: only what is safe there. Root regains at exec what is in the bounding
// set.
[[noreturn]] void become(char* const* words, const Where& where, int out, int errors) {
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    ::dup2(out, STDOUT_FILENO);
    ::dup2(errors, STDERR_FILENO);
    for (const int capability : where.without) ::prctl(PR_CAPBSET_DROP, capability, 0, 0, 0);
    if (where.folder.empty() || ::chdir(where.folder.c_str()) == 0) ::execv(words[0], words);
    ::_exit(127);
}

} // namespace

std::string homeostat() { return HOMEOSTAT_BINARY_DIR "/homeostat"; }

Child Child::start(std::vector<std::string> words, const Where& where) {
    Child child;
    std::vector<char*> arguments;
    for (std::string& word : words) {
        child.words_ += (child.words_.empty() ? "" : " ") + word;
        arguments.push_back(word.data());
    }
    arguments.push_back(nullptr);
    Pipe out = make_pipe();
    Pipe errors = make_pipe();
    {
        std::optional<lab::Entered> entered;
        if (where.in != nullptr) {
            auto inside = where.in->enter();
            if (!inside) throw std::runtime_error(inside.error().what);
            entered.emplace(std::move(*inside));
        }
        child.pid_ = ::fork();
        if (child.pid_ == 0) become(arguments.data(), where, out.write.get(), errors.write.get());
    }
    if (child.pid_ < 0) fail("fork");
    child.process_ = lab::Descriptor(static_cast<int>(::syscall(SYS_pidfd_open, child.pid_, 0)));
    if (!child.process_) fail("pidfd_open");
    child.out_.pipe = std::move(out.read);
    child.errors_.pipe = std::move(errors.read);
    return child;
}

Child::Child(Child&& other) noexcept
    : pid_(std::exchange(other.pid_, -1)), process_(std::move(other.process_)), out_(std::move(other.out_)),
      errors_(std::move(other.errors_)), told_(other.told_), code_(other.code_),
      words_(std::move(other.words_)) {}

Child::~Child() {
    if (pid_ < 0 || code_) return;
    ::kill(pid_, SIGKILL);
    while (::waitpid(pid_, nullptr, 0) < 0 && errno == EINTR) {
    }
}

bool Child::Stream::drain() {
    bool any = false;
    std::array<char, 65536> chunk{};
    while (pipe) {
        const ssize_t got = ::read(pipe.get(), chunk.data(), chunk.size());
        if (got < 0) return any; // nothing more for now
        if (got == 0)
            pipe = lab::Descriptor();
        else
            text.append(chunk.data(), static_cast<std::size_t>(got));
        any = true;
    }
    return any;
}

void Child::give_up(const std::string& waited_for) const {
    throw std::runtime_error(words_ + ": waited in vain for " + waited_for + "; it said\n" + errors_.text +
                             "\nand\n" + out_.text);
}

// A closed pipe polls readable for ever, and is therefore no longer waited for.
void Child::listen() {
    std::array<pollfd, 3> waiting{
        {{out_.pipe.get(), POLLIN, 0}, {errors_.pipe.get(), POLLIN, 0}, {process_.get(), POLLIN, 0}}};
    const int ready = ::poll(waiting.data(), waiting.size(), 1000);
    if (ready < 0 && errno != EINTR) fail("poll");
    // The end is looked at first: what was said before it is in the pipes by then.
    int status = 0;
    if (!code_ && ::waitpid(pid_, &status, WNOHANG) == pid_)
        code_ = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    out_.drain();
    errors_.drain();
}

std::optional<std::string> Child::line() {
    const auto end = std::chrono::steady_clock::now() + patience;
    while (true) {
        if (const std::size_t newline = out_.text.find('\n', told_); newline != std::string::npos) {
            std::string line = out_.text.substr(told_, newline - told_);
            told_ = newline + 1;
            return line;
        }
        if (code_) return std::nullopt;
        if (std::chrono::steady_clock::now() > end) give_up("a line");
        listen();
    }
}

void Child::await_error(std::string_view text) {
    const auto end = std::chrono::steady_clock::now() + patience;
    while (errors_.text.find(text) == std::string::npos) {
        if (code_ || std::chrono::steady_clock::now() > end) give_up("'" + std::string(text) + "'");
        listen();
    }
}

void Child::signal(int number) const {
    if (!code_) ::kill(pid_, number);
}

void Child::hang_up() {
    out_.pipe = lab::Descriptor();
    errors_.pipe = lab::Descriptor();
}

int Child::wait() {
    const auto end = std::chrono::steady_clock::now() + patience;
    while (!code_) {
        if (std::chrono::steady_clock::now() > end) give_up("its end");
        listen();
    }
    return *code_;
}

Finished run_to_end(std::vector<std::string> words, const Where& where) {
    Child child = Child::start(std::move(words), where);
    const int code = child.wait();
    return {code, child.out(), child.errors()};
}

} // namespace homeostat::system_test

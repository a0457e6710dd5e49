#include "adapters/lab/network.hpp"

#include "adapters/lab/descriptor.hpp"

#include <fcntl.h>
#include <linux/ethtool.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <spawn.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstring>
#include <exception>
#include <string>
#include <vector>

namespace homeostat::lab {
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::chrono::seconds ip_time_max{20};
constexpr std::chrono::seconds link_time_max{5};
constexpr std::size_t ip_message_max = 4096;

std::string errno_text(int number) { return std::strerror(number); }

std::vector<std::string> split(std::string_view text) {
    std::vector<std::string> words;
    while (!text.empty()) {
        const auto end = std::min(text.find(' '), text.size());
        if (end > 0) words.emplace_back(text.substr(0, end));
        text.remove_prefix(std::min(end + 1, text.size()));
    }
    return words;
}

struct Child {
    pid_t pid = -1;
    Descriptor errors; // the reading end of its stderr
};

// Spawned from the calling thread, so that the child is in the same network namespace.
Result<Child> spawn(std::vector<std::string> words) {
    std::array<int, 2> ends{};
    if (::pipe2(ends.data(), O_CLOEXEC) != 0) return failure("pipe: " + errno_text(errno), errno);
    Child child{-1, Descriptor(ends[0])};
    const Descriptor write_end(ends[1]);

    std::vector<char*> arguments;
    for (auto& word : words) arguments.push_back(word.data());
    arguments.push_back(nullptr);

    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, "/dev/null", O_WRONLY, 0);
    posix_spawn_file_actions_adddup2(&actions, write_end.get(), STDERR_FILENO);
    const int error =
        ::posix_spawnp(&child.pid, words.front().c_str(), &actions, nullptr, arguments.data(), environ);
    posix_spawn_file_actions_destroy(&actions);
    if (error != 0)
        return failure("cannot run " + words.front() + ": " + errno_text(error) + " (package iproute2)",
                       error);
    return child;
}

// What the child wrote, until it closed its stderr; false in `.second` where the time was over before that.
std::pair<std::string, bool> read_errors(const Descriptor& errors) {
    std::string said;
    const auto deadline = Clock::now() + ip_time_max;
    for (;;) {
        const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(deadline - Clock::now());
        if (left.count() <= 0) return {said, false};
        pollfd ready{errors.get(), POLLIN, 0};
        if (::poll(&ready, 1, static_cast<int>(left.count())) <= 0) continue;
        std::array<char, 1024> buffer{};
        const auto count = ::read(errors.get(), buffer.data(), buffer.size());
        if (count < 0 && errno == EINTR) continue;
        if (count <= 0) break;
        if (said.size() < ip_message_max) said.append(buffer.data(), static_cast<std::size_t>(count));
    }
    while (!said.empty() && said.back() == '\n') said.pop_back();
    return {said, true};
}

Result<void> interface_request(const std::string& link, unsigned long operation, ifreq& request) {
    const Descriptor socket(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
    if (!socket) return failure("socket for " + link + ": " + errno_text(errno), errno);
    link.copy(static_cast<char*>(request.ifr_name), IFNAMSIZ - 1);
    if (::ioctl(socket.get(), operation, &request) != 0)
        return failure("request to " + link + ": " + errno_text(errno), errno);
    return {};
}

// Without GRO there is no NAPI at the receiving end of a veth, and native XDP's redirects get lost.
Result<void> switch_gro_on(const std::string& link) {
    ethtool_value value{.cmd = ETHTOOL_SGRO, .data = 1};
    ifreq request{};
    request.ifr_data = reinterpret_cast<char*>(&value);
    auto done = interface_request(link, SIOCETHTOOL, request);
    if (!done) return failure("cannot switch on GRO: " + done.error().what, done.error().number);
    return done;
}

// A link whose other end has just come up takes packets and drops them until the kernel's link watch has run,
// which may take a second. To ask for the link makes newer kernels (6.8) run it at once; and as the flag is
// set a moment before the queues are, the kernel's lock is passed once more.
Result<void> wait_until_running(const NetNamespace& space, const std::string& link) {
    auto entered = space.enter();
    if (!entered) return std::unexpected(entered.error());
    const auto ask = "link show dev " + link;
    const auto deadline = Clock::now() + link_time_max;
    for (ifreq request{}; (request.ifr_flags & IFF_RUNNING) == 0;) {
        if (Clock::now() > deadline) return failure("link " + link + " did not come up", ETIMEDOUT);
        if (auto shown = ip(ask); !shown) return shown;
        if (auto asked = interface_request(link, SIOCGIFFLAGS, request); !asked) return asked;
    }
    return ip(ask);
}

Result<void> ip_all(const std::vector<std::string>& commands) {
    for (const auto& command : commands) {
        if (auto done = ip(command); !done) return done;
    }
    return {};
}

struct End {
    std::string link;
    std::string mac;
    std::string address4;
    std::string address6;
};

// No link-local address and no ARP: so the kernel sends neither solicitations nor multicast reports.
Result<void> configure(const NetNamespace& space, const End& own, const End& other) {
    auto entered = space.enter();
    if (!entered) return std::unexpected(entered.error());
    if (auto gro = switch_gro_on(own.link); !gro) return gro;
    const auto on = " dev " + own.link;
    return ip_all({
        "link set" + on + " arp off addrgenmode none address " + own.mac,
        "addr add " + own.address4 + "/24" + on,
        "-6 addr add " + own.address6 + "/64" + on + " nodad",
        "link set" + on + " up",
        "neigh replace " + other.address4 + " lladdr " + other.mac + " nud permanent" + on,
        "-6 neigh replace " + other.address6 + " lladdr " + other.mac + " nud permanent" + on,
    });
}

} // namespace

Result<void> ip(std::string_view arguments) {
    auto words = split(arguments);
    words.insert(words.begin(), "ip");
    const auto command = "ip " + std::string(arguments);
    auto child = spawn(std::move(words));
    if (!child) return std::unexpected(child.error());

    const auto [said, closed] = read_errors(child->errors);
    if (!closed) ::kill(child->pid, SIGKILL);
    int status = 0;
    while (::waitpid(child->pid, &status, 0) < 0 && errno == EINTR) {
    }
    if (!closed)
        return failure(command + ": no end after " + std::to_string(ip_time_max.count()) + " s", ETIMEDOUT);
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
        return failure(command + ": " + (said.empty() ? "failed without a message" : said));
    return {};
}

Entered::Entered(Entered&& other) noexcept : old_namespace_(std::exchange(other.old_namespace_, -1)) {}

Entered::~Entered() {
    const Descriptor old(old_namespace_);
    // A thread in the wrong namespace would change the wrong network.
    if (old && ::setns(old.get(), CLONE_NEWNET) != 0) std::terminate();
}

Result<NetNamespace> NetNamespace::create(std::string name) {
    if (auto added = ip("netns add " + name); !added)
        return failure(added.error().what + " (left from an earlier run? ip netns del " + name + ")");
    NetNamespace made(std::move(name));
    auto entered = made.enter();
    if (!entered) return std::unexpected(entered.error());
    if (auto up = ip("link set lo up"); !up) return std::unexpected(up.error());
    return made;
}

NetNamespace::NetNamespace(NetNamespace&& other) noexcept
    : name_(std::exchange(other.name_, {})), keep_(other.keep_) {}

NetNamespace& NetNamespace::operator=(NetNamespace&& other) noexcept {
    std::swap(name_, other.name_);
    std::swap(keep_, other.keep_);
    return *this;
}

NetNamespace::~NetNamespace() {
    if (name_.empty() || keep_) return;
    static_cast<void>(ip("netns del " + name_));
}

Result<Entered> NetNamespace::enter() const {
    const auto path = "/run/netns/" + name_;
    const Descriptor target(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
    if (!target) return failure("open " + path + ": " + errno_text(errno), errno);
    Descriptor old(::open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC));
    if (!old) return failure("open /proc/thread-self/ns/net: " + errno_text(errno), errno);
    if (::setns(target.get(), CLONE_NEWNET) != 0)
        return failure("enter network namespace " + name_ + ": " + errno_text(errno), errno);
    return Entered(old.release());
}

Result<Lab> Lab::create(const std::string& tag, int queues) {
    auto host = NetNamespace::create(tag + "-host");
    if (!host) return std::unexpected(host.error());
    auto peer = NetNamespace::create(tag + "-peer");
    if (!peer) return std::unexpected(peer.error());
    Lab lab{std::move(*host), std::move(*peer), "lab0", "lab1"};

    const auto count = std::to_string(queues);
    const auto each = " numrxqueues " + count + " numtxqueues " + count;
    {
        auto entered = lab.host.enter();
        if (!entered) return std::unexpected(entered.error());
        auto added = ip("link add " + lab.host_link + each + " type veth peer name " + lab.peer_link +
                        " netns " + lab.peer.name() + each);
        if (!added) return std::unexpected(added.error());
    }
    const End host_end{lab.host_link, "02:00:00:00:77:01", "10.77.0.1", "fd77::1"};
    const End peer_end{lab.peer_link, "02:00:00:00:77:02", "10.77.0.2", "fd77::2"};
    if (auto done = configure(lab.host, host_end, peer_end); !done) return std::unexpected(done.error());
    if (auto done = configure(lab.peer, peer_end, host_end); !done) return std::unexpected(done.error());
    if (auto done = wait_until_running(lab.host, lab.host_link); !done) return std::unexpected(done.error());
    if (auto done = wait_until_running(lab.peer, lab.peer_link); !done) return std::unexpected(done.error());
    return lab;
}

void Lab::keep() {
    host.keep();
    peer.keep();
}

} // namespace homeostat::lab

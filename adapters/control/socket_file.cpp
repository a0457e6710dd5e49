#include "adapters/control/socket_file.hpp"

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <utility>

#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

namespace homeostat::control {

namespace {

constexpr int backlog = 16;

Result<sockaddr_un> address_of(const std::string& path) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    if (path.empty() || path.size() >= sizeof(address.sun_path))
        return failure("control socket '" + path + "': expected a path of 1 to " +
                       std::to_string(sizeof(address.sun_path) - 1) + " bytes");
    std::memcpy(address.sun_path, path.data(), path.size());
    return address;
}

std::unexpected<Error> system_failure(const std::string& what, const std::string& path, int number) {
    return failure(what + " " + path + ": " + std::strerror(number), number);
}

const sockaddr* plain(const sockaddr_un& address) { return reinterpret_cast<const sockaddr*>(&address); }

// Each folder that is missing, for its owner alone.
Result<void> make_folders(const std::string& path) {
    std::filesystem::path folder;
    for (const auto& name : std::filesystem::path(path).parent_path()) {
        folder /= name;
        std::error_code error;
        if (std::filesystem::exists(folder, error)) continue;
        if (::mkdir(folder.c_str(), 0700) != 0 && errno != EEXIST)
            return system_failure("create folder", folder.string(), errno);
    }
    return {};
}

// Removes the file of a server that is gone.
Result<void> remove_stale(const std::string& path) {
    struct stat file{};
    if (::lstat(path.c_str(), &file) != 0) return {};
    if (!S_ISSOCK(file.st_mode))
        return failure("control socket " + path + ": a file that is no socket is there");
    const auto other = connect_to(path, std::chrono::seconds{1});
    if (other) ::close(*other);
    if (other || other.error().number == EAGAIN)
        return failure("control socket " + path + ": another controller answers on it", EADDRINUSE);
    if (other.error().number != ECONNREFUSED) return std::unexpected(other.error());
    if (::unlink(path.c_str()) != 0 && errno != ENOENT)
        return system_failure("remove stale socket", path, errno);
    return {};
}

bool limit_waiting(int descriptor, std::chrono::milliseconds patience) {
    const timeval time{.tv_sec = patience.count() / 1000,
                       .tv_usec = static_cast<suseconds_t>(patience.count() % 1000 * 1000)};
    return ::setsockopt(descriptor, SOL_SOCKET, SO_RCVTIMEO, &time, sizeof(time)) == 0 &&
           ::setsockopt(descriptor, SOL_SOCKET, SO_SNDTIMEO, &time, sizeof(time)) == 0;
}

} // namespace

Result<int> connect_to(const std::string& path, std::chrono::milliseconds patience) {
    const auto address = address_of(path);
    if (!address) return std::unexpected(address.error());
    const int descriptor = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (descriptor < 0) return system_failure("open a socket for", path, errno);
    // Also connecting waits no longer than this: as long as nobody takes those who came before.
    if (limit_waiting(descriptor, patience) && ::connect(descriptor, plain(*address), sizeof(*address)) == 0)
        return descriptor;
    const int number = errno;
    ::close(descriptor);
    if (number == EAGAIN) return failure("connect to " + path + ": it does not answer in time", number);
    return system_failure("connect to", path, number);
}

Result<SocketFile> SocketFile::listen(const std::string& path) {
    const auto address = address_of(path);
    if (!address) return std::unexpected(address.error());
    if (auto made = make_folders(path); !made) return std::unexpected(made.error());
    if (auto removed = remove_stale(path); !removed) return std::unexpected(removed.error());
    const int descriptor = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (descriptor < 0) return system_failure("open control socket", path, errno);
    SocketFile file("", descriptor);
    // Linux gives the file the mode of the socket: it is never open to others, not even for a moment.
    if (::fchmod(descriptor, 0600) != 0) return system_failure("set the mode of", path, errno);
    if (::bind(descriptor, plain(*address), sizeof(*address)) != 0)
        return system_failure("bind control socket", path, errno);
    file.path_ = path;
    struct stat made{};
    if (::stat(path.c_str(), &made) != 0) return system_failure("find control socket", path, errno);
    file.device_ = made.st_dev;
    file.inode_ = made.st_ino;
    if (::listen(descriptor, backlog) != 0) return system_failure("listen on", path, errno);
    return file;
}

SocketFile::SocketFile(SocketFile&& other) noexcept
    : path_(std::exchange(other.path_, "")), descriptor_(std::exchange(other.descriptor_, -1)),
      device_(other.device_), inode_(other.inode_) {}

SocketFile::~SocketFile() {
    if (descriptor_ >= 0) ::close(descriptor_);
    struct stat there{};
    if (path_.empty() || ::lstat(path_.c_str(), &there) != 0) return;
    if (there.st_dev == device_ && there.st_ino == inode_) ::unlink(path_.c_str());
}

int SocketFile::release() { return std::exchange(descriptor_, -1); }

} // namespace homeostat::control

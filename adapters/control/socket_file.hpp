// The socket's file: made, replaced where it is stale, and removed.
#pragma once

#include "knowledge/error.hpp"

#include <chrono>
#include <string>

#include <sys/types.h>

namespace homeostat::control {

// A listening socket with its file. Movable; destroying it closes the socket, if it is still here, and
// removes the file, if it is still the same one.
class SocketFile {
  public:
    static Result<SocketFile> listen(const std::string& path);
    SocketFile(SocketFile&& other) noexcept;
    SocketFile& operator=(SocketFile&&) = delete;
    ~SocketFile();

    // The descriptor, which is the caller's from here on.
    int release();

  private:
    SocketFile(std::string path, int descriptor) : path_(std::move(path)), descriptor_(descriptor) {}

    std::string path_; // empty: moved from
    int descriptor_ = -1;
    dev_t device_ = 0;
    ino_t inode_ = 0;
};

// A connected descriptor; it waits at most `patience` for the connection, and then for each thing that is
// sent or received. Fails with errno: ECONNREFUSED where nobody answers, EAGAIN where nobody does in time.
Result<int> connect_to(const std::string& path, std::chrono::milliseconds patience);

} // namespace homeostat::control

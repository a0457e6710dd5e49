// The owner of a file descriptor: closing it is all that its end does.
#pragma once

#include <unistd.h>

#include <utility>

namespace homeostat::lab {

class Descriptor {
  public:
    Descriptor() = default;
    explicit Descriptor(int fd) : fd_(fd) {}
    Descriptor(Descriptor&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
    Descriptor& operator=(Descriptor&& other) noexcept {
        std::swap(fd_, other.fd_);
        return *this;
    }
    ~Descriptor() {
        if (fd_ >= 0) ::close(fd_);
    }

    int get() const { return fd_; }
    explicit operator bool() const { return fd_ >= 0; }

    // Gives it away, open.
    int release() { return std::exchange(fd_, -1); }

  private:
    int fd_ = -1; // -1: none
};

} // namespace homeostat::lab

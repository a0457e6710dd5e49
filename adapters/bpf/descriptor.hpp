// The owner of a file descriptor of the kernel's: a program, a map, a link, a socket, an epoll set.
#pragma once

#include "knowledge/error.hpp"

#include <utility>

namespace homeostat::bpf {

// Move-only; closes on destruction. Closing gives up one reference: a program or map lives on while another
// descriptor, a link or a program refers to it; a link that nobody else holds detaches.
class Descriptor {
  public:
    Descriptor() = default;
    explicit Descriptor(int fd) : fd_(fd) {} // takes ownership
    Descriptor(Descriptor&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
    Descriptor& operator=(Descriptor&& other) noexcept {
        std::swap(fd_, other.fd_);
        return *this;
    }
    ~Descriptor(); // close

    int get() const { return fd_; }
    explicit operator bool() const { return fd_ >= 0; }

  private:
    int fd_ = -1;
};

// A second descriptor of the same object, with its own life.
Result<Descriptor> duplicate(int fd);

} // namespace homeostat::bpf

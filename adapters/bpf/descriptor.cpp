#include "adapters/bpf/descriptor.hpp"

#include "adapters/bpf/kernel.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>

namespace homeostat::bpf {

Descriptor::~Descriptor() {
    if (fd_ >= 0) ::close(fd_);
}

Result<Descriptor> duplicate(int fd) {
    const int copy = ::fcntl(fd, F_DUPFD_CLOEXEC, 0);
    if (copy < 0) return failure("duplicate descriptor: " + errno_text(errno), errno);
    return Descriptor(copy);
}

} // namespace homeostat::bpf

#include "adapters/lab/bpf_mount.hpp"

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <sys/mount.h>
#include <unistd.h>
#include <utility>

namespace homeostat::lab {

Result<BpfMount> BpfMount::create() {
    std::string path = (std::filesystem::temp_directory_path() / "homeostat-bpf-XXXXXX").string();
    if (::mkdtemp(path.data()) == nullptr)
        return failure("make a folder " + path + ": " + std::strerror(errno), errno);
    if (::mount("bpf", path.c_str(), "bpf", 0, nullptr) != 0) {
        const int error = errno;
        ::rmdir(path.c_str());
        return failure("mount a BPF file system: " + std::string(std::strerror(error)), error);
    }
    return BpfMount(std::move(path));
}

BpfMount::BpfMount(BpfMount&& other) noexcept : path_(std::exchange(other.path_, {})) {}

BpfMount::~BpfMount() {
    if (path_.empty()) return;
    ::umount2(path_.c_str(), MNT_DETACH);
    ::rmdir(path_.c_str());
}

} // namespace homeostat::lab

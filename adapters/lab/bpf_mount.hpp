// A BPF file system of one's own, for the lab and for tests: what is pinned there goes with it.
#pragma once

#include "knowledge/error.hpp"

#include <string>

namespace homeostat::lab {

// Move-only; unmounts and removes its folder on destruction. Needs root.
class BpfMount {
  public:
    static Result<BpfMount> create(); // in the folder for temporary files
    BpfMount(BpfMount&& other) noexcept;
    BpfMount& operator=(BpfMount&&) = delete;
    ~BpfMount();

    const std::string& path() const { return path_; }

  private:
    explicit BpfMount(std::string path) : path_(std::move(path)) {}
    std::string path_; // "" once moved from
};

} // namespace homeostat::lab

#include "adapters/bpf/read_text.hpp"

#include "adapters/bpf/kernel.hpp"

#include <cerrno>
#include <fstream>
#include <sstream>

namespace homeostat::bpf {

Result<std::string> read_text(const std::string& path) {
    std::ifstream file(path, std::ios::binary);
    std::ostringstream text;
    text << file.rdbuf();
    if (!file) return failure("read " + path + ": " + errno_text(errno), errno);
    return text.str();
}

} // namespace homeostat::bpf

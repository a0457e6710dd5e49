// Where control sockets are.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>

namespace homeostat::control {

inline constexpr std::string_view default_folder = "/run/homeostat";

// "/run/homeostat/lab.sock" of a controller with the configuration "configs/lab.toml".
inline std::string default_path(const std::string& config_file) {
    return std::string(default_folder) + "/" + std::filesystem::path(config_file).stem().string() + ".sock";
}

} // namespace homeostat::control

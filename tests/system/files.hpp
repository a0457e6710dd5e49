// Files for a controller to read: a throwaway folder, and the texts of configurations and policies.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>

namespace homeostat::system_test {

std::string read_text(const std::filesystem::path& file);

class Folder {
  public:
    Folder();
    Folder(const Folder&) = delete;
    Folder& operator=(const Folder&) = delete;
    ~Folder(); // removes it with all that is in it

    const std::filesystem::path& path() const { return path_; }
    // Creates the file or writes it anew. Returns its path.
    std::string write(const std::string& name, std::string_view text) const;

  private:
    std::filesystem::path path_;
};

// A controller of the lab's interface with counter and guard, the shipped sensors, and policy.toml beside it.
struct Config {
    std::string period = "100ms";
    std::string objects{}; // the lines of controller.objects and more
    std::string program = "counter";
    std::string mode = R"("drv")"; // as TOML
    std::string interface = "lab0";
    std::string maps{}; // lines of the interface
    std::string more{}; // tables

    std::string text() const;
};

// From here on the kernel reports UDP at once.
inline constexpr std::string_view urgent_limit = "maps.proto_limits.udp = { pps = 2_000, burst = 100 }";

// A policy that puts the guard over the baseline under a UDP flood. It records counted (packets by proto),
// dropped and udp_pps.
struct Policy {
    std::string raise = R"(udp_pps > 5k or xdp_over_limit{proto="udp"} == 1)";
    std::string clear = "max_over_time(udp_pps[2s]) < 1k";
    std::string keep = "500ms";
    std::string min_hold = "1s";
    std::string cooldown = "1s";
    std::string budget = "6/1h";
    bool adapts = true; // false: signals and symptom only

    std::string text() const;
};

inline constexpr double guard_pps = 100;

} // namespace homeostat::system_test

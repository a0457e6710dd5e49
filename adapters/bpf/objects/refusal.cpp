#include "adapters/bpf/objects/refusal.hpp"

#include "adapters/bpf/kernel.hpp"
#include "adapters/bpf/libbpf_log.hpp"
#include "adapters/bpf/objects/source_lines.hpp"

#include <bit>
#include <cerrno>
#include <cstdlib>
#include <fstream>
#include <linux/bpf.h>
#include <sys/utsname.h>
#include <unistd.h>

namespace homeostat::bpf {

namespace {

constexpr std::uint32_t value_bytes_max_per_cpu = 32U << 10U; // PCPU_MIN_UNIT_SIZE
constexpr std::size_t instructions_max = 1'000'000;           // BPF_COMPLEXITY_LIMIT_INSNS

std::string line_of(const std::string& path) {
    std::ifstream file(path);
    std::string line;
    std::getline(file, line);
    return line;
}

// "none [integrity] confidentiality": the one in brackets.
std::string lockdown_mode() {
    const std::string line = line_of("/sys/kernel/security/lockdown");
    const auto begin = line.find('[');
    const auto end = line.find(']');
    if (begin == std::string::npos || end == std::string::npos || end < begin) return {};
    return line.substr(begin + 1, end - begin - 1);
}

bool in_user_namespace() {
    std::ifstream map("/proc/self/uid_map");
    std::uint32_t inside = 0;
    std::uint32_t outside = 0;
    std::uint32_t count = 0;
    if (!(map >> inside >> outside >> count)) return false;
    return inside != 0 || outside != 0 || count != ~std::uint32_t{0};
}

bool is_per_cpu(std::uint32_t type) {
    return type == BPF_MAP_TYPE_PERCPU_ARRAY || type == BPF_MAP_TYPE_PERCPU_HASH ||
           type == BPF_MAP_TYPE_LRU_PERCPU_HASH;
}

bool is_array(std::uint32_t type) { return type == BPF_MAP_TYPE_ARRAY || type == BPF_MAP_TYPE_PERCPU_ARRAY; }

std::string kind_name(std::uint32_t type) {
    const char* name = libbpf_bpf_map_type_str(static_cast<bpf_map_type>(type));
    return name != nullptr ? name : "kind " + std::to_string(type);
}

std::string size_text(double bytes) {
    static constexpr const char* units[] = {" bytes", " KiB", " MiB", " GiB", " TiB"};
    std::size_t unit = 0;
    for (; bytes >= 1024 && unit + 1 < std::size(units); ++unit) bytes /= 1024;
    return std::to_string(static_cast<std::uint64_t>(bytes)) + units[unit];
}

double bytes_of(const RefusedMap& map, const KernelFacts& facts) {
    const auto rounded = [](std::uint32_t size) { return (size + 7.0) - (size + 7U) % 8; };
    const double key = is_array(map.type) ? 0 : rounded(map.key_size);
    return map.max_entries * (key + rounded(map.value_size) * (is_per_cpu(map.type) ? facts.cpus : 1));
}

std::string too_large(const RefusedMap& map) {
    if (is_per_cpu(map.type) && map.value_size > value_bytes_max_per_cpu)
        return "a value that each CPU has of its own is at most " + std::to_string(value_bytes_max_per_cpu) +
               " bytes; make it smaller, or use a map that the CPUs share";
    return "that is more than the kernel allows for one map; lower max_entries, or make the value smaller";
}

std::string wrong_definition(const RefusedMap& map, const KernelFacts& facts) {
    if (libbpf_bpf_map_type_str(static_cast<bpf_map_type>(map.type)) == nullptr)
        return "there is no such kind of map; use one of enum bpf_map_type";
    if (map.kind_is_missing)
        return "the kernel " + facts.release +
               " has no maps of this kind; run a newer kernel, or use another";
    if (map.max_entries == 0) return "max_entries is missing; give it by __uint(max_entries, N)";
    if (map.type == BPF_MAP_TYPE_RINGBUF) {
        if (std::has_single_bit(map.max_entries) && map.max_entries % facts.page_bytes == 0) return {};
        return "the max_entries of a ring buffer are its bytes: a power of 2, and whole pages of " +
               std::to_string(facts.page_bytes) + " bytes";
    }
    if (is_array(map.type) && map.key_size != 4)
        return "the key of an array is its index, of 4 bytes; give it by __type(key, __u32)";
    if (map.key_size == 0) return "it has no key; give one by __type(key, …)";
    if (map.value_size == 0) return "it has no value; give one by __type(value, …)";
    if (map.type == BPF_MAP_TYPE_LPM_TRIE && (map.flags & BPF_F_NO_PREALLOC) == 0)
        return "a trie takes __uint(map_flags, BPF_F_NO_PREALLOC)";
    if (map.type == BPF_MAP_TYPE_LPM_TRIE)
        return "the key of a trie is a __u32 prefixlen and up to 256 bytes of address after it";
    return "the kernel does not take this definition; compare it with the documentation of its kind of map";
}

RefusedMap refused_map(const bpf_map* map) {
    return {.name = bpf_map__name(map),
            .type = bpf_map__type(map),
            .key_size = bpf_map__key_size(map),
            .value_size = bpf_map__value_size(map),
            .max_entries = bpf_map__max_entries(map),
            .flags = bpf_map__map_flags(map),
            .kind_is_missing = libbpf_probe_bpf_map_type(bpf_map__type(map), nullptr) == 0};
}

// What stands between the first `after` in the log and the nearest `before` it; "" where nothing does.
std::string_view between(std::string_view log, std::string_view before, std::string_view after) {
    const auto end = log.find(after);
    if (end == std::string_view::npos) return {};
    const auto begin = log.rfind(before, end);
    if (begin == std::string_view::npos || begin + before.size() > end) return {};
    return log.substr(begin + before.size(), end - begin - before.size());
}

// The line that says most: libbpf ends with the bare fact that it failed.
std::string last_cause(std::string_view log) {
    std::string cause;
    while (!log.empty()) {
        const std::string_view line = log.substr(0, log.find('\n'));
        log.remove_prefix(std::min(log.size(), line.size() + 1));
        std::string_view said = line;
        if (said.starts_with("libbpf: ")) said.remove_prefix(8);
        const bool bare = said.empty() || said.contains("failed to load") ||
                          said.contains("BPF program load failed") ||
                          said.starts_with("permission error while running as root");
        if (!bare) cause = said;
    }
    return cause;
}

std::string by_libbpfs_words(std::string_view log, const KernelFacts& facts) {
    const auto named_after = [&](std::string_view words) {
        const auto found = log.find(words);
        const std::string_view rest = found == std::string_view::npos ? "" : log.substr(found + words.size());
        return std::string(rest.substr(0, rest.find('\'')));
    };
    if (const std::string name = named_after("failed to find kernel BTF type ID of '"); !name.empty())
        return "the kernel " + facts.release + " has no function or type " + name +
               " to attach to; name one of those in /proc/kallsyms, or run a kernel that has it";
    if (const std::string name = named_after("extern (func ksym) '"); !name.empty())
        return "the kernel " + facts.release + " lets programs call no function " + name +
               "; run a kernel that does, or declare it __weak and ask bpf_ksym_exists() for it";
    return {};
}

// A program's twin is loaded with it, and may be the one that failed.
std::string failed_program(std::string_view log, const std::string& function) {
    const std::string_view name = between(log, "prog '", "': failed to load");
    return name.empty() || name.contains('\'') ? function : std::string(name);
}

// Without CAP_PERFMON the verifier refuses what it would take otherwise.
Refusal by_verifier(const std::string& path, const std::string& function, const std::string& failed,
                    Verdict verdict, int number) {
    if (const auto lines = read_source_lines(path)) complete(verdict, *lines, failed);
    std::string what =
        "the verifier rejected " + (failed == function ? "it" : failed) + ": " + to_text(verdict);
    if (const std::string hint = capability_hint(number); !hint.empty()) what += "\n  " + hint.substr(2);
    return {std::move(what), std::move(verdict)};
}

} // namespace

KernelFacts kernel_facts() {
    utsname names{};
    ::uname(&names);
    const int cpus = libbpf_num_possible_cpus();
    const long page = ::sysconf(_SC_PAGESIZE);
    return {.missing_capabilities = bpf::missing_capabilities(),
            .in_user_namespace = bpf::in_user_namespace(),
            .lockdown = lockdown_mode(),
            .release = names.release,
            .cpus = cpus > 0 ? static_cast<std::uint32_t>(cpus) : 1,
            .page_bytes = page > 0 ? static_cast<std::uint32_t>(page) : 4096};
}

std::string why_no_map(const RefusedMap& map, int number, const KernelFacts& facts) {
    std::string what = "map " + map.name + " (" + kind_name(map.type) + ", " +
                       std::to_string(map.max_entries) + " entries of " + std::to_string(map.key_size) +
                       " and " + std::to_string(map.value_size) +
                       " bytes) cannot be made: " + errno_text(number);
    switch (std::abs(number)) {
    case E2BIG:
        return what + ": " + too_large(map);
    case ENOMEM:
        return what + ": it takes " + size_text(bytes_of(map, facts)) +
               "; lower max_entries, or give the control group more memory";
    case EINVAL:
        if (const std::string wrong = wrong_definition(map, facts); !wrong.empty())
            return what + ": " + wrong;
        return what;
    default:
        return what;
    }
}

std::string why_not_permitted(int number, const KernelFacts& facts) {
    const std::string what = errno_text(number);
    if (!facts.missing_capabilities.empty()) {
        std::string list;
        for (const std::string& capability : facts.missing_capabilities)
            list += (list.empty() ? "" : ", ") + capability;
        return what + "; missing " + list + ": run as root or grant them";
    }
    if (facts.in_user_namespace)
        return what + "; the process is root in a user namespace of its own only: run it outside of that";
    if (!facts.lockdown.empty() && facts.lockdown != "none")
        return what + "; the kernel is locked down (" + facts.lockdown +
               "), which denies programs that read its memory: start it with lockdown=none, or without "
               "Secure "
               "Boot, or do without this program";
    return what + "; no capability is missing: the kernel may be locked down, or a security module may deny "
                  "it; 'dmesg' and /sys/kernel/security/lockdown tell";
}

Refusal why_not_loaded(const bpf_object* object, const std::string& path, const std::string& function,
                       int number, std::string_view log) {
    if (auto verdict = read_verdict(verifier_log(log)))
        return by_verifier(path, function, failed_program(log, function), std::move(*verdict), number);
    const KernelFacts facts = kernel_facts();
    if (std::abs(number) == EPERM || std::abs(number) == EACCES)
        return {why_not_permitted(number, facts), std::nullopt};
    if (const auto name = between(log, "map '", "': failed to create"); !name.empty())
        if (const bpf_map* map = bpf_object__find_map_by_name(object, std::string(name).c_str()))
            return {why_no_map(refused_map(map), number, facts), std::nullopt};
    const bpf_program* program = bpf_object__find_program_by_name(object, function.c_str());
    if (std::abs(number) == E2BIG && program != nullptr && bpf_program__insn_cnt(program) > instructions_max)
        return {"it has " + std::to_string(bpf_program__insn_cnt(program)) +
                    " instructions, and the kernel takes 1000000; split it, and go from part to part by "
                    "bpf_tail_call()",
                std::nullopt};
    if (std::string words = by_libbpfs_words(log, facts); !words.empty())
        return {std::move(words), std::nullopt};
    const std::string cause = last_cause(log);
    return {errno_text(number) + (cause.empty() ? "" : ": " + cause), std::nullopt};
}

std::unexpected<Error> not_loaded(const std::string& what, const bpf_object* object, const std::string& path,
                                  const std::string& function, int number, std::string_view log) {
    const Refusal refusal = why_not_loaded(object, path, function, number, log);
    const std::string hint = refusal.verdict ? "\n  the verifier's whole log: homeostat load --log -f " +
                                                   failed_program(log, function) + " " + path
                                             : "";
    return failure(what + refusal.what + hint, std::abs(number));
}

} // namespace homeostat::bpf

#include "adapters/bpf/objects/object_file.hpp"

#include "adapters/bpf/kernel.hpp"
#include "adapters/bpf/libbpf_log.hpp"
#include "adapters/bpf/objects/btf_check.hpp"

#include <bpf/btf.h>
#include <elf.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cerrno>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <string_view>
#include <vector>

namespace homeostat::bpf {

namespace {

namespace fs = std::filesystem;

std::unexpected<Error> refusal(const std::string& path, const std::string& why, int number = EINVAL) {
    return failure("object " + (path.empty() ? "''" : path) + ": " + why, number);
}

std::string what_it_is(std::string_view head) {
    if (head.empty()) return "it is empty";
    if (head.starts_with("BC\xC0\xDE")) return "it is LLVM bitcode; compile it to an object with clang -c";
    if (head.starts_with("!<arch>")) return "it is an archive";
    const bool text =
        std::ranges::all_of(head, [](unsigned char c) { return c >= 32 || (c >= 9 && c <= 13); });
    return text ? "it is a text file" : "it is a binary file of another format";
}

std::string machine_name(unsigned machine) {
    switch (machine) {
    case EM_X86_64:
        return "x86-64";
    case EM_AARCH64:
        return "AArch64";
    case EM_386:
        return "i386";
    case EM_RISCV:
        return "RISC-V";
    default:
        return "machine " + std::to_string(machine);
    }
}

Result<void> check_file(const std::string& path) {
    std::error_code error;
    const fs::file_status status = fs::status(path, error);
    if (status.type() == fs::file_type::none) return refusal(path, errno_text(error.value()), error.value());
    if (!fs::exists(status)) return refusal(path, errno_text(ENOENT), ENOENT);
    if (fs::is_directory(status)) return refusal(path, "a folder; name an object file in it", EISDIR);
    if (!fs::is_regular_file(status)) return refusal(path, "no regular file");
    return {};
}

Result<void> check_elf(const std::string& path) {
    std::ifstream file(path, std::ios::binary);
    if (!file) return refusal(path, errno_text(errno), errno);
    std::array<char, sizeof(Elf64_Ehdr)> bytes{};
    file.read(bytes.data(), bytes.size());
    const std::string_view head(bytes.data(), static_cast<std::size_t>(file.gcount()));
    if (!head.starts_with(ELFMAG)) return refusal(path, "not an ELF file: " + what_it_is(head));
    if (head.size() < bytes.size())
        return refusal(path, "a damaged ELF file: it ends within its header; copy or compile it again");

    constexpr char native = std::endian::native == std::endian::little ? ELFDATA2LSB : ELFDATA2MSB;
    if (bytes[EI_CLASS] != ELFCLASS64)
        return refusal(path,
                       "an ELF file of 32 bits, and BPF objects have 64; compile it with clang -target bpf");
    if (bytes[EI_DATA] != native)
        return refusal(
            path, "compiled for the other byte order; compile it with clang -target bpf on this machine");
    Elf64_Ehdr header;
    std::memcpy(&header, bytes.data(), sizeof header);
    if (header.e_machine != EM_BPF)
        return refusal(path, "an ELF file for " + machine_name(header.e_machine) +
                                 ", not for BPF; compile it with clang -target bpf");
    if (header.e_type != ET_REL) return refusal(path, "not a relocatable object; compile it with clang -c");

    // The table of sections is the last thing that compilers write.
    std::error_code error;
    const std::uintmax_t size = fs::file_size(path, error);
    const std::uintmax_t table = std::uintmax_t{header.e_shnum} * header.e_shentsize;
    if (error || header.e_shoff > size || table > size - header.e_shoff)
        return refusal(path, "a damaged ELF file: it is cut off after " + std::to_string(size) +
                                 " bytes, before the end of its table of sections; copy or compile it again");
    return {};
}

Result<void> check_types(const std::string& path) {
    const LogCapture log;
    const std::unique_ptr<btf, FreeBtf> types(btf__parse_elf(path.c_str(), nullptr));
    const int number = errno;
    if (types) {
        const std::string mistake = mistake_in(types.get());
        if (mistake.empty()) return {};
        return refusal(path, "a damaged ELF file: in its BTF, " + mistake + "; copy or compile it again");
    }
    if (number == ENOENT || number == ENODATA)
        return refusal(path, "no BTF; compile it with clang -g -target bpf", number);
    const std::string said = log.last_line();
    return refusal(path, "a damaged ELF file: " + (said.empty() ? "its BTF: " + errno_text(number) : said),
                   number);
}

Result<ObjectFile> open_checked(const std::string& path) {
    const LogCapture log;
    ObjectFile object(bpf_object__open_file(path.c_str(), nullptr));
    if (object) return object;
    const int number = errno;
    const std::string said = log.last_line();
    if (log.text().contains("legacy map definitions"))
        return refusal(path,
                       "its maps are defined in SEC(\"maps\"), which libbpf no longer takes; define them in "
                       "SEC(\".maps\") by __uint and __type",
                       number);
    return refusal(path, "a damaged ELF file: " + (said.empty() ? errno_text(number) : said), number);
}

Result<void> check_programs(const std::string& path, const bpf_object* object) {
    // Those that this program attaches, and what people write for them.
    static const std::vector<std::string> known{"xdp", "xdp.frags", "tc", "tcx/ingress", "tcx/egress"};
    bool any = false;
    std::string unknown;
    bpf_program* program = nullptr;
    bpf_object__for_each_program(program, object) {
        any = true;
        if (bpf_program__type(program) != BPF_PROG_TYPE_UNSPEC) continue;
        const std::string section = bpf_program__section_name(program);
        const std::string meant = nearest(section, known);
        unknown += (unknown.empty() ? "" : "; ") + std::string("program ") + bpf_program__name(program) +
                   " is in SEC(\"" + section + "\"), which libbpf " + libbpf_version_string() +
                   " does not know as a kind of program" +
                   (meant.empty() ? "" : "; did you mean SEC(\"" + meant + "\")?");
    }
    if (!any) return refusal(path, "no program; expected a function in SEC(\"xdp\") or SEC(\"tc\")", ENOENT);
    if (!unknown.empty()) return refusal(path, unknown);
    return {};
}

} // namespace

void name_tcx_programs(bpf_object* object) {
    bpf_program* program = nullptr;
    bpf_object__for_each_program(program, object) {
        const std::string_view section = bpf_program__section_name(program);
        if (bpf_program__type(program) == BPF_PROG_TYPE_UNSPEC &&
            (section == "tcx/ingress" || section == "tcx/egress"))
            bpf_program__set_type(program, BPF_PROG_TYPE_SCHED_CLS);
    }
}

Result<ObjectFile> open_object(const std::string& path) {
    for (const auto check : {check_file, check_elf, check_types})
        if (auto checked = check(path); !checked) return std::unexpected(checked.error());
    auto object = open_checked(path);
    if (!object) return object;
    name_tcx_programs(object->get());
    if (auto checked = check_programs(path, object->get()); !checked) return std::unexpected(checked.error());
    bpf_map* map = nullptr;
    bpf_object__for_each_map(map, object->get()) { bpf_map__set_pin_path(map, nullptr); }
    return object;
}

} // namespace homeostat::bpf

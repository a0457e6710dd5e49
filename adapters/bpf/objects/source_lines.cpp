#include "adapters/bpf/objects/source_lines.hpp"

#include "adapters/bpf/kernel.hpp"
#include "adapters/bpf/libbpf_log.hpp"
#include "adapters/bpf/objects/object_file.hpp"

#include <bpf/btf.h>
#include <linux/bpf.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <memory>
#include <optional>
#include <span>
#include <tuple>

// libbpf's header declares btf_ext__raw_data, and before its version 1.5 no library has it; all have this.
// NOLINTNEXTLINE(bugprone-reserved-identifier,readability-redundant-declaration): libbpf's own name
extern "C" const void* btf_ext__get_raw_data(const struct btf_ext* extension, __u32* size);

namespace homeostat::bpf {

namespace {

struct FreeExtension {
    void operator()(btf_ext* extension) const { btf_ext__free(extension); }
};

constexpr std::uint32_t instruction_size = sizeof(bpf_insn);

// Of the section .BTF.ext (kernel documentation, bpf/btf.rst); offsets count from its end.
struct ExtensionHeader {
    std::uint16_t magic;
    std::uint8_t version;
    std::uint8_t flags;
    std::uint32_t header_size;
    std::uint32_t functions_offset;
    std::uint32_t functions_size;
    std::uint32_t lines_offset;
    std::uint32_t lines_size;
};

struct SectionHeader {
    std::uint32_t name;
    std::uint32_t count; // of records
};

using ByteView = std::span<const std::byte>;

// A value off the front; none where the bytes end before.
template <class T> std::optional<T> take(ByteView& bytes, std::size_t size = sizeof(T)) {
    if (size < sizeof(T) || bytes.size() < size) return std::nullopt;
    T value;
    std::memcpy(&value, bytes.data(), sizeof value);
    bytes = bytes.subspan(size);
    return value;
}

std::string text_at(const btf* types, std::uint32_t offset) {
    const char* text = btf__name_by_offset(types, offset);
    return text != nullptr ? text : "";
}

std::string trimmed(const std::string& text) {
    const auto begin = text.find_first_not_of(" \t\r");
    return begin == std::string::npos ? "" : text.substr(begin, text.find_last_not_of(" \t\r") - begin + 1);
}

// Calls `use(section, record)` for each record of one part of the extension.
template <class Record, class Use> void each_record(const btf* types, ByteView part, const Use& use) {
    const auto size = take<std::uint32_t>(part);
    if (!size) return;
    while (const auto section = take<SectionHeader>(part)) {
        const std::string name = text_at(types, section->name);
        for (std::uint32_t i = 0; i < section->count; ++i) {
            const auto record = take<Record>(part, *size);
            if (!record) return;
            use(name, *record);
        }
    }
}

ByteView part_of(ByteView all, std::size_t offset, std::size_t size) {
    if (offset > all.size() || size > all.size() - offset) return {};
    return all.subspan(offset, size);
}

SourceLines read_extension(const btf* types, ByteView all) {
    SourceLines read;
    ByteView rest = all;
    const auto header = take<ExtensionHeader>(rest);
    if (!header) return read;
    const std::size_t base = header->header_size;
    each_record<bpf_func_info>(types, part_of(all, base + header->functions_offset, header->functions_size),
                               [&](const std::string& section, const bpf_func_info& info) {
                                   const btf_type* type = btf__type_by_id(types, info.type_id);
                                   if (type != nullptr)
                                       read.functions.push_back({section, info.insn_off / instruction_size,
                                                                 text_at(types, type->name_off)});
                               });
    each_record<bpf_line_info>(types, part_of(all, base + header->lines_offset, header->lines_size),
                               [&](const std::string& section, const bpf_line_info& info) {
                                   read.lines.push_back(
                                       {section,
                                        info.insn_off / instruction_size,
                                        {.file = text_at(types, info.file_name_off),
                                         .line = static_cast<int>(BPF_LINE_INFO_LINE_NUM(info.line_col)),
                                         .column = static_cast<int>(BPF_LINE_INFO_LINE_COL(info.line_col)),
                                         .text = trimmed(text_at(types, info.line_off))}});
                               });
    const auto place = [](const auto& one) { return std::tie(one.section, one.instruction); };
    std::ranges::stable_sort(read.functions, {}, place);
    std::ranges::stable_sort(read.lines, {}, place);
    return read;
}

// By its index, where it lies in the program itself and not in a function that was joined to it.
const SourceLine* by_index(const SourceLines& lines, std::string_view function, std::uint32_t index) {
    const auto program = std::ranges::find(lines.functions, function, &SourceLines::Function::name);
    if (program == lines.functions.end()) return nullptr;
    const std::uint32_t wanted = program->instruction + index;
    const auto next = std::next(program);
    if (next != lines.functions.end() && next->section == program->section && wanted >= next->instruction)
        return nullptr;
    const SourceLine* found = nullptr;
    for (const SourceLines::Line& line : lines.lines)
        if (line.section == program->section && line.instruction >= program->instruction &&
            line.instruction <= wanted && line.source.line > 0)
            found = &line.source;
    return found;
}

std::string_view base_name(std::string_view path) { return path.substr(path.rfind('/') + 1); }

const SourceLine* by_text(const SourceLines& lines, const SourceLine& told) {
    if (told.text.empty()) return nullptr;
    const auto found = std::ranges::find_if(lines.lines, [&](const SourceLines::Line& line) {
        return line.source.text == told.text && (told.line == 0 || line.source.line == told.line) &&
               (told.file.empty() || base_name(line.source.file) == base_name(told.file));
    });
    return found == lines.lines.end() ? nullptr : &found->source;
}

void complete(VerifiedInstruction& place, const SourceLines& lines, std::string_view function) {
    const SourceLine* found = by_index(lines, function, place.index);
    if (found == nullptr || (!place.source.text.empty() && found->text != place.source.text))
        found = by_text(lines, place.source);
    if (found != nullptr) place.source = *found;
}

} // namespace

Result<SourceLines> read_source_lines(const std::string& path) {
    const LogCapture log;
    btf_ext* extension = nullptr;
    const std::unique_ptr<btf, FreeBtf> types(btf__parse_elf(path.c_str(), &extension));
    const std::unique_ptr<btf_ext, FreeExtension> owned(extension);
    if (!types) return failure("read the BTF of " + path + ": " + errno_text(errno), errno);
    if (extension == nullptr) return SourceLines{};
    std::uint32_t size = 0;
    const void* raw = btf_ext__get_raw_data(extension, &size);
    return read_extension(types.get(), {static_cast<const std::byte*>(raw), size});
}

void complete(Verdict& verdict, const SourceLines& lines, std::string_view function) {
    if (verdict.at) complete(*verdict.at, lines, function);
    if (verdict.acquired) complete(*verdict.acquired, lines, function);
}

} // namespace homeostat::bpf

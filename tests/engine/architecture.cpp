#include "tests/engine/architecture.hpp"

#include <algorithm>
#include <array>
#include <cctype>
#include <regex>
#include <span>
#include <sstream>

namespace homeostat::test {

namespace {

constexpr std::size_t lines_max = 600;
constexpr std::size_t readme_lines_max = 3;

bool is_below(std::string_view path, std::string_view folder) {
    return path.starts_with(folder) && path.size() > folder.size() && path[folder.size()] == '/';
}

std::vector<std::string> lines_of(const std::string& text) {
    std::istringstream stream(text);
    std::vector<std::string> lines;
    for (std::string line; std::getline(stream, line);) lines.push_back(std::move(line));
    return lines;
}

// Who may include what: folders of the tree, and libraries by the beginning of their headers' paths. Headers
// without '/' and '.' are the standard library's.
struct Room {
    std::string_view folder;
    std::vector<std::string_view> folders;
    std::vector<std::string_view> libraries;
};

const std::vector<Room>& core() {
    static const std::vector<Room> rooms{
        {"knowledge", {"knowledge"}, {"Eigen/"}},
        {"policies", {"knowledge", "policies"}, {"toml++/", "re2/"}},
        {"engine", {"knowledge", "policies", "engine"}, {"boost/asio/", "unistd.h"}},
    };
    return rooms;
}

const Room* room_of(std::string_view path) {
    const auto found =
        std::ranges::find_if(core(), [&](const Room& room) { return is_below(path, room.folder); });
    return found == core().end() ? nullptr : &*found;
}

bool is_standard(std::string_view header) { return header.find_first_of("/.") == std::string_view::npos; }

bool may_include_header(const Room& room, std::string_view header) {
    return is_standard(header) || std::ranges::any_of(room.libraries, [&](std::string_view library) {
               return header.starts_with(library);
           });
}

// "adapters/rtnetlink" of "adapters/rtnetlink/links.cpp".
std::string_view adapter_of(std::string_view path) {
    const std::size_t slash = path.find('/', std::string_view("adapters/").size());
    return path.substr(0, slash);
}

// The folders of an adapter that has some, in the order in which data walks: each includes itself and those
// before it. What lies in the adapter's own folder comes first.
constexpr std::array<std::string_view, 5> bpf_folders{"adapters/bpf", "adapters/bpf/objects",
                                                      "adapters/bpf/maps", "adapters/bpf/sensors",
                                                      "adapters/bpf/datapath"};

bool is_after(std::string_view path, std::string_view included) {
    const auto place = [](std::string_view file) {
        const auto found = std::ranges::find(bpf_folders, file.substr(0, file.rfind('/')));
        return found - bpf_folders.begin();
    };
    return place(path) >= place(included);
}

bool may_include(std::string_view path, std::string_view included) {
    const auto below_any = [&](const std::vector<std::string_view>& folders) {
        return std::ranges::any_of(folders,
                                   [&](std::string_view folder) { return is_below(included, folder); });
    };
    if (is_below(path, "tests") || is_below(path, "benchmarks")) return true;
    if (is_below(path, "bpf")) return is_below(included, "bpf");
    if (const Room* room = room_of(path)) return below_any(room->folders);
    if (!is_below(path, "adapters")) return false;
    if (below_any({"knowledge", "policies", "engine"})) return true;
    // Our own kernel side, of which no reader knows; it is built together with that adapter.
    if (included == "bpf/map_merge.h") return is_below(path, "adapters/bpf");
    if (adapter_of(path) == "adapters/cli") return is_below(included, "adapters");
    return is_below(included, adapter_of(path)) && is_after(path, included);
}

struct Ban {
    std::regex pattern;
    std::string_view what;
    std::string_view allowed_in; // a path; "" for nowhere
};

const std::vector<Ban>& bans() {
    static const std::vector<Ban> all{
        {std::regex(
             R"(\bsystem_clock\b|\bhigh_resolution_clock\b|\bstd::clock\b|\b(utc|tai|gps|file)_clock\b)"),
         "a clock", ""},
        {std::regex(R"(\bsteady_clock\b|\bclock_type::now\b|[A-Za-z_]*_clock::now\b)"), "a clock",
         "engine/runner.cpp"},
        {std::regex(
             R"(\b(clock_gettime|gettimeofday|time|localtime|gmtime)\s*\(\s*(nullptr|NULL|&|CLOCK_|\)))"),
         "a clock", ""},
        {std::regex(R"(\b(rand|srand|random|getrandom|arc4random)\s*\(|\brandom_device\b)"),
         "a random source", ""},
        {std::regex(R"(\b(getenv|secure_getenv)\s*\(|\benviron\b)"), "the environment", ""},
        {std::regex(R"(\b(fopen|freopen|openat|open)\s*\(|\b[io]?fstream\b|<filesystem>)"), "a file", ""},
        {std::regex(
             R"(\bstd::(cout|cerr|clog)\b|\b(printf|puts|putchar|fprintf|vprintf)\s*\(|\bstd::print(ln)?\b)"),
         "an output", ""},
        {std::regex(R"(\b(sleep|usleep|nanosleep|sleep_for|sleep_until)\s*\()"), "a pause", ""},
    };
    return all;
}

std::string place(const SourceFile& file, std::size_t line) {
    return file.path + ":" + std::to_string(line + 1) + ": ";
}

} // namespace

std::vector<std::string> include_mistakes(const SourceFile& file) {
    static const std::regex include(R"(^\s*#\s*include\s*([<"])([^>"]+)[>"])");
    std::vector<std::string> mistakes;
    const auto lines = lines_of(file.text);
    for (std::size_t i = 0; i < lines.size(); ++i) {
        std::smatch match;
        if (!std::regex_search(lines[i], match, include)) continue;
        const std::string header = match[2];
        if (match[1] == "\"") {
            if (!may_include(file.path, header))
                mistakes.push_back(place(file, i) + "includes \"" + header + "\"");
        } else if (const Room* room = room_of(file.path);
                   room != nullptr && !may_include_header(*room, header)) {
            mistakes.push_back(place(file, i) + "includes <" + header + ">");
        }
    }
    return mistakes;
}

std::vector<std::string> ban_mistakes(const SourceFile& file) {
    std::vector<std::string> mistakes;
    if (room_of(file.path) == nullptr) return mistakes;
    const auto lines = lines_of(code_of(file.text));
    for (std::size_t i = 0; i < lines.size(); ++i)
        for (const Ban& ban : bans()) {
            std::smatch match;
            if (file.path != ban.allowed_in && std::regex_search(lines[i], match, ban.pattern))
                mistakes.push_back(place(file, i) + "uses " + std::string(ban.what) + ": " + match.str());
        }
    return mistakes;
}

std::vector<std::string> length_mistakes(const SourceFile& file) {
    const auto lines = lines_of(file.text);
    const auto too_long = [&](std::size_t max) {
        return std::vector<std::string>{file.path + ": has " + std::to_string(lines.size()) +
                                        " lines; at most " + std::to_string(max)};
    };
    if (file.path.ends_with("/README.md") &&
        file.path != "benchmarks/README.md") // that one holds the figures
        return lines.size() > readme_lines_max ? too_long(readme_lines_max) : std::vector<std::string>{};
    if (!file.path.ends_with(".hpp") && !file.path.ends_with(".cpp")) return {};
    if (lines.size() <= lines_max) return {};
    const auto says_why = [](const std::string& line) {
        return line.starts_with("//") && line.find("longer than 600 lines") != std::string::npos;
    };
    const auto first = std::span(lines).first(10);
    return std::ranges::any_of(first, says_why) ? std::vector<std::string>{} : too_long(lines_max);
}

namespace {

// Reads on to the end of a literal or comment; newlines are kept.
std::size_t skip_until(std::string_view text, std::size_t from, std::string_view end, bool escapes,
                       std::string& out) {
    std::size_t at = from;
    while (at < text.size() && !text.substr(at).starts_with(end)) {
        if (escapes && text[at] == '\\') ++at;
        if (at < text.size() && text[at] == '\n') out += '\n';
        ++at;
    }
    return std::min(text.size(), at + end.size());
}

} // namespace

std::string code_of(std::string_view text) {
    std::string code;
    const auto is_digit_separator = [&](std::size_t at) {
        return at > 0 && std::isalnum(static_cast<unsigned char>(text[at - 1])) != 0;
    };
    for (std::size_t at = 0; at < text.size();) {
        const std::string_view rest = text.substr(at);
        if (rest.starts_with("//")) {
            at = text.find('\n', at);
            if (at == std::string_view::npos) break;
        } else if (rest.starts_with("/*")) {
            at = skip_until(text, at + 2, "*/", false, code);
        } else if (rest.starts_with("R\"")) {
            const std::size_t open = text.find('(', at);
            const std::string end = ")" + std::string(text.substr(at + 2, open - at - 2)) + "\"";
            at = skip_until(text, open, end, false, code);
        } else if (rest.starts_with('"')) {
            at = skip_until(text, at + 1, "\"", true, code);
        } else if (rest.starts_with('\'') && !is_digit_separator(at)) {
            at = skip_until(text, at + 1, "'", true, code);
        } else {
            code += text[at++];
        }
    }
    return code;
}

} // namespace homeostat::test

#include "adapters/bpf/datapath/instance.hpp"

#include "adapters/bpf/kernel.hpp"
#include "adapters/bpf/read_text.hpp"

#include <boost/json.hpp>

#include <algorithm>
#include <array>
#include <cerrno>
#include <fcntl.h>
#include <filesystem>
#include <fstream>
#include <linux/magic.h>
#include <sstream>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

namespace homeostat::bpf {

namespace {

namespace fs = std::filesystem;
namespace json = boost::json;

constexpr int format_version = 1;

std::string pin_name(std::string_view interface) {
    std::string name;
    for (const char c : interface) name += c == '.' ? "%2e" : c == '%' ? "%25" : std::string(1, c);
    return name;
}

std::string from_pin_name(std::string_view pin) {
    std::string name;
    while (!pin.empty()) {
        const bool dot = pin.starts_with("%2e");
        const bool percent = pin.starts_with("%25");
        name += dot ? '.' : percent ? '%' : pin.front();
        pin.remove_prefix(dot || percent ? 3 : 1);
    }
    return name;
}

std::string boot_id() {
    std::ifstream file("/proc/sys/kernel/random/boot_id");
    std::string id;
    std::getline(file, id);
    return id;
}

// Of the calling thread's network namespace: unlike its inode, it is never given to another one.
std::uint64_t netns_cookie() {
    const Descriptor socket(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
    std::uint64_t cookie = 0;
    socklen_t size = sizeof cookie;
    constexpr int so_netns_cookie = 71;
    if (::getsockopt(socket.get(), SOL_SOCKET, so_netns_cookie, &cookie, &size) != 0) return 0;
    return cookie;
}

Result<void> make_folder(const std::string& path) {
    std::error_code error;
    fs::create_directories(path, error);
    if (error)
        return failure("make " + path + ": " + error.message() + capability_hint(error.value()),
                       error.value());
    return {};
}

// `root` need not exist yet.
Result<void> require_bpffs(const std::string& root) {
    fs::path existing = root;
    std::error_code error;
    while (!fs::exists(existing, error) && existing.has_relative_path()) existing = existing.parent_path();
    struct statfs info{};
    if (::statfs(existing.c_str(), &info) == 0 && info.f_type == BPF_FS_MAGIC) return {};
    return failure(
        "no BPF file system is mounted for " + root +
            ", where programs are pinned so that they outlive the controller; mount it: 'mount -t bpf bpf "
            "/sys/fs/bpf', or name the place of one in controller.bpffs",
        ENOENT);
}

// Whether the path is still that of the open file: another owner may have removed it meanwhile.
bool is_at(const Descriptor& file, const std::string& path) {
    struct stat open{};
    struct stat there{};
    return ::fstat(file.get(), &open) == 0 && ::stat(path.c_str(), &there) == 0 &&
           open.st_ino == there.st_ino && open.st_dev == there.st_dev;
}

// Of the whole file. It belongs to the open file, not to the process.
struct flock write_lock() {
    struct flock lock{};
    lock.l_type = F_WRLCK;
    lock.l_whence = SEEK_SET;
    return lock;
}

Result<Descriptor> take_lock(const std::string& path) {
    Descriptor lock(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
    if (!lock) return failure("open " + path + ": " + errno_text(errno) + capability_hint(errno), errno);
    struct flock wanted = write_lock();
    if (::fcntl(lock.get(), F_OFD_SETLK, &wanted) != 0) {
        if (errno != EAGAIN && errno != EACCES)
            return failure("lock " + path + ": " + errno_text(errno), errno);
        std::array<char, 32> owner{};
        const ssize_t length = ::read(lock.get(), owner.data(), owner.size() - 1);
        return failure("another controller owns this instance" +
                           (length > 0 ? " (process " + std::string(owner.data()) + ")" : std::string()) +
                           "; stop it, or give this one a name of its own in controller.instance",
                       EBUSY);
    }
    if (!is_at(lock, path)) return failure("another controller is just ending; try again", EBUSY);
    const std::string pid = std::to_string(::getpid());
    if (::ftruncate(lock.get(), 0) != 0 || ::write(lock.get(), pid.data(), pid.size()) < 0)
        return failure("write " + path + ": " + errno_text(errno), errno);
    return lock;
}

// Asks only: to try to take it would be in the way of who wants it.
bool is_locked(const std::string& path) {
    const Descriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
    struct flock wanted = write_lock();
    return file && ::fcntl(file.get(), F_OFD_GETLK, &wanted) == 0 && wanted.l_type != F_UNLCK;
}

json::object entry_json(const MapEntry& entry, const MapValue& value) {
    json::object fields;
    for (const auto& [name, number] : value) fields[name] = number;
    return {{"map", entry.map}, {"key", entry.key}, {"value", std::move(fields)}};
}

json::object tc_json(const Manifest::Interface& interface) {
    json::object tc;
    for (const auto& [direction, unix_ms] : interface.tc_attached_unix_ms) tc[to_text(direction)] = unix_ms;
    return tc;
}

Manifest::Interface read_interface(const json::object& object) {
    Manifest::Interface interface{.ifindex = json::value_to<std::uint32_t>(object.at("ifindex")),
                                  .attached_unix_ms = object.at("attached_unix_ms").to_number<std::int64_t>(),
                                  .owned = {}};
    if (const json::value* tc = object.if_contains("tc"))
        for (const TcDirection direction : tc_directions)
            if (const json::value* unix_ms = tc->as_object().if_contains(to_text(direction)))
                interface.tc_attached_unix_ms.emplace(direction, unix_ms->to_number<std::int64_t>());
    for (const json::value& one : object.at("owned").as_array()) {
        const json::object& entry = one.as_object();
        MapValue value;
        for (const auto& [name, number] : entry.at("value").as_object())
            value.emplace(name, number.to_number<std::int64_t>());
        interface.owned.emplace(MapEntry{json::value_to<std::string>(entry.at("map")),
                                         json::value_to<std::string>(entry.at("key"))},
                                std::move(value));
    }
    return interface;
}

} // namespace

InterfacePins::InterfacePins(const InstancePlace& place, std::string_view interface)
    : folder_(place.bpffs + "/" + place.name + "/" + pin_name(interface)) {}

std::string InterfacePins::program(std::string_view version) const {
    return programs() + "/" + pin_name(version);
}

std::string InterfacePins::map(std::string_view name) const { return maps() + "/" + pin_name(name); }

std::vector<std::string> InterfacePins::clsacts() const {
    std::vector<std::string> pins = files_in(folder_);
    std::erase_if(pins, [&](const std::string& path) { return !path.starts_with(folder_ + "/clsact@"); });
    return pins;
}

std::vector<std::string> files_in(const std::string& folder) {
    std::vector<std::string> files;
    std::error_code error;
    for (fs::directory_iterator entry(folder, error), end; !error && entry != end; entry.increment(error))
        files.push_back(entry->path());
    std::ranges::sort(files);
    return files;
}

std::string version_of_pin(const std::string& path) {
    return from_pin_name(std::string_view(path).substr(path.rfind('/') + 1));
}

std::string to_text(const Manifest& manifest) {
    json::object interfaces;
    for (const auto& [name, interface] : manifest.interfaces) {
        json::array owned;
        for (const auto& [entry, value] : interface.owned) owned.push_back(entry_json(entry, value));
        interfaces[name] = {{"ifindex", interface.ifindex},
                            {"attached_unix_ms", interface.attached_unix_ms},
                            {"owned", std::move(owned)},
                            {"tc", tc_json(interface)}};
    }
    return json::serialize(json::object{{"version", format_version},
                                        {"boot_id", manifest.boot_id},
                                        {"netns_cookie", manifest.netns_cookie},
                                        {"committed", manifest.committed},
                                        {"interfaces", std::move(interfaces)}});
}

Result<Manifest> read_manifest(std::string_view text) {
    try {
        const json::object object = json::parse(text).as_object();
        if (const auto version = object.at("version").to_number<int>(); version != format_version)
            return failure("it has version " + std::to_string(version) + ", and this program reads version " +
                           std::to_string(format_version));
        Manifest manifest{.boot_id = json::value_to<std::string>(object.at("boot_id")),
                          .netns_cookie = object.at("netns_cookie").to_number<std::uint64_t>(),
                          .committed = object.at("committed").to_number<std::uint64_t>(),
                          .interfaces = {}};
        for (const auto& [name, interface] : object.at("interfaces").as_object())
            manifest.interfaces.emplace(name, read_interface(interface.as_object()));
        return manifest;
    } catch (const boost::system::system_error& error) {
        return failure("it is damaged: " + error.code().message());
    } catch (const std::exception& error) {
        return failure(std::string("it is damaged: ") + error.what());
    }
}

Result<Manifest> manifest_of(const InstancePlace& place) {
    const std::string path = place.state + "/" + place.name + "/manifest";
    std::error_code error;
    if (!fs::exists(path, error)) return Manifest{};
    const auto text = read_text(path);
    auto manifest = text ? read_manifest(*text) : std::unexpected(text.error());
    if (!manifest) return failure(path + ": " + manifest.error().what);
    return manifest->boot_id == boot_id() ? std::move(*manifest) : Manifest{};
}

std::string to_text(const Journal& journal) {
    std::string text = json::serialize(json::object{{"boot_id", journal.boot_id},
                                                    {"transaction", journal.transaction},
                                                    {"interface", journal.interface}});
    text += "\n";
    for (const Undo& one : journal.undo) text += to_text(one) + "\n";
    return text;
}

Result<Journal> read_journal(std::string_view text) {
    Journal journal;
    bool begun = false;
    while (!text.empty()) {
        const std::size_t end = text.find('\n');
        if (end == std::string_view::npos) break;
        const std::string_view line = text.substr(0, end);
        text.remove_prefix(end + 1);
        if (begun) {
            auto undo = read_undo(line);
            if (!undo) return failure("it is damaged: " + undo.error().what);
            journal.undo.push_back(std::move(*undo));
            continue;
        }
        try {
            const json::object object = json::parse(line).as_object();
            journal.boot_id = json::value_to<std::string>(object.at("boot_id"));
            journal.transaction = object.at("transaction").to_number<std::uint64_t>();
            journal.interface = json::value_to<std::string>(object.at("interface"));
            begun = true;
        } catch (const boost::system::system_error& error) {
            return failure("it is damaged: " + error.code().message());
        } catch (const std::exception& error) {
            return failure(std::string("it is damaged: ") + error.what());
        }
    }
    return journal;
}

namespace {

// Of another network namespace than the calling thread's.
bool is_elsewhere(const Manifest& manifest) {
    return manifest.netns_cookie != 0 && manifest.netns_cookie != netns_cookie() &&
           !manifest.interfaces.empty();
}

// Of all interfaces, links first.
std::vector<std::string> all_pins(const InstancePlace& place) {
    std::vector<std::string> pins;
    for (const std::string& folder : files_in(place.bpffs + "/" + place.name))
        for (const char* below : {"", "/programs", "/maps"})
            for (const std::string& path : files_in(folder + below))
                if (!fs::is_directory(path)) pins.push_back(path);
    return pins;
}

// That of a link that is on a device, in whatever network namespace; "" for none.
Result<std::string> live_link(const std::vector<std::string>& pins, const KernelPort& kernel) {
    for (const std::string& path : pins) {
        const std::string folder = fs::path(path).parent_path().filename();
        if (folder == "programs" || folder == "maps" || path.find("/clsact@") != std::string::npos) continue;
        const Descriptor link(kernel.open_pin(path));
        if (link.get() == -ENOENT) continue;
        bpf_link_info info{};
        const int error = link ? kernel.link_info(link.get(), info) : link.get();
        if (error != 0) return failure("ask about the link at " + path + ": " + errno_text(error), -error);
        // What the union holds of an XDP link and of a TCX link begins with the ifindex.
        if (info.xdp.ifindex != 0) return path;
    }
    return "";
}

// Of a transaction that is not whole; none where there is none. One of an earlier boot is told in `dropped`.
Result<std::optional<Journal>> journal_of(const InstancePlace& place, const Manifest& manifest,
                                          std::string& dropped) {
    const std::string path = place.state + "/" + place.name + "/journal";
    std::error_code error;
    if (!fs::exists(path, error)) return std::nullopt;
    const auto text = read_text(path);
    auto journal = text ? read_journal(*text) : std::unexpected(text.error());
    if (!journal)
        return failure(path + ": " + journal.error().what +
                       "; a change may be half made: remove the file to go on with what is attached now");
    if (journal->undo.empty()) return std::nullopt;
    if (journal->boot_id != boot_id()) {
        dropped = path + ": a change on " + journal->interface +
                  " was cut short before the machine was started anew; nothing of it is left to take back";
        return std::nullopt;
    }
    // A manifest that was written after the last step makes the transaction whole.
    if (journal->transaction <= manifest.committed) return std::nullopt;
    return std::move(*journal);
}

} // namespace

Result<std::vector<std::string>> pins_to_forget(const InstancePlace& place, const Manifest& manifest,
                                                const KernelPort& kernel) {
    if (!is_elsewhere(manifest)) return std::vector<std::string>{};
    std::vector<std::string> pins = all_pins(place);
    const auto link = live_link(pins, kernel);
    if (!link) return std::unexpected(link.error());
    if (link->empty()) return pins;
    return failure(
        "instance " + place.name + " was used in another network namespace, where " + *link +
            " is still attached; run 'homeostat detach' there, or give this controller a name of its "
            "own in controller.instance",
        EBUSY);
}

std::string Instance::journal_path() const { return place_.state + "/" + place_.name + "/journal"; }
std::string Instance::manifest_path() const { return place_.state + "/" + place_.name + "/manifest"; }
std::string Instance::definitions_folder() const { return place_.state + "/" + place_.name + "/maps"; }

std::string Instance::definitions_path(std::string_view interface) const {
    return definitions_folder() + "/" + pin_name(interface);
}

Result<Instance> Instance::open(InstancePlace place, const KernelPort& kernel) {
    Instance instance;
    instance.place_ = std::move(place);
    instance.kernel_ = &kernel;
    const std::string state = instance.place_.state + "/" + instance.place_.name;
    if (auto mounted = require_bpffs(instance.place_.bpffs); !mounted)
        return std::unexpected(mounted.error());
    for (const std::string& folder :
         {instance.definitions_folder(), instance.place_.bpffs + "/" + instance.place_.name})
        if (auto made = make_folder(folder); !made) return std::unexpected(made.error());
    auto lock = take_lock(state + "/lock");
    if (!lock)
        return failure("instance " + instance.place_.name + ": " + lock.error().what, lock.error().number);
    instance.lock_ = std::move(*lock);
    if (auto read = instance.read_state(); !read) return std::unexpected(read.error());
    return instance;
}

Result<void> Instance::read_state() {
    auto manifest = manifest_of(place_);
    if (!manifest)
        return failure(manifest.error().what +
                       "; remove that file: what is attached goes on, taken up by its pins below " +
                       place_.bpffs + "/" + place_.name + ", but which map entries were set is forgotten");
    manifest_ = std::move(*manifest);
    auto pins = pins_to_forget(place_, manifest_, *kernel_);
    if (!pins) return std::unexpected(pins.error());
    forgotten_ = std::move(*pins);
    if (is_elsewhere(manifest_))
        if (auto forgotten = forget(); !forgotten) return forgotten;
    manifest_.boot_id = boot_id();
    manifest_.netns_cookie = netns_cookie();
    auto journal = journal_of(place_, manifest_, dropped_);
    if (!journal) return std::unexpected(journal.error());
    unfinished_ = std::move(*journal);
    std::error_code error;
    return unfinished_ || !fs::exists(journal_path(), error) ? Result<void>{} : abandon();
}

// The devices went, with their network namespace: nothing of it works any more.
Result<void> Instance::forget() {
    for (const std::string& path : forgotten_)
        if (const int error = kernel_->unpin(path); error != 0 && error != -ENOENT)
            return failure("unpin " + path + ": " + errno_text(error), -error);
    manifest_ = Manifest{};
    const int error = kernel_->remove_file(journal_path());
    if (error != 0) return failure("remove " + journal_path() + ": " + errno_text(error), -error);
    return {};
}

std::vector<std::string> pinned_interfaces(const InstancePlace& place) {
    std::vector<std::string> names;
    for (const std::string& folder : files_in(place.bpffs + "/" + place.name))
        names.push_back(version_of_pin(folder));
    return names;
}

std::vector<std::string> Instance::pinned_interfaces() const { return bpf::pinned_interfaces(place_); }

Result<InstanceRecords> read_records(const InstancePlace& place) {
    const std::string folder = place.state + "/" + place.name;
    InstanceRecords records;
    auto manifest = manifest_of(place);
    if (!manifest) return std::unexpected(manifest.error());
    records.manifest = std::move(*manifest);
    auto journal = journal_of(place, records.manifest, records.dropped);
    if (!journal) return std::unexpected(journal.error());
    records.journal = std::move(*journal);
    if (is_locked(folder + "/lock")) records.owner = read_text(folder + "/lock").value_or("?");
    return records;
}

Result<void> Instance::make_folders(std::string_view interface) const {
    if (auto mounted = require_bpffs(place_.bpffs); !mounted) return mounted;
    const InterfacePins paths = pins(interface);
    for (const std::string& folder : {paths.programs(), paths.maps()})
        if (auto made = make_folder(folder); !made) return made;
    return {};
}

Result<void> Instance::begin(const std::string& interface) {
    return write_journal({.boot_id = manifest_.boot_id,
                          .transaction = manifest_.committed + 1,
                          .interface = interface,
                          .undo = {}});
}

Result<void> Instance::note(const Undo& undo) {
    const int error = kernel_->append_file(journal_path(), to_text(undo));
    if (error != 0) return failure("write " + journal_path() + ": " + errno_text(error), -error);
    return {};
}

Result<void> Instance::commit(const std::string& interface, std::optional<Manifest::Interface> now) {
    Manifest next = manifest_;
    ++next.committed;
    if (now)
        next.interfaces.insert_or_assign(interface, std::move(*now));
    else
        next.interfaces.erase(interface);
    // What is unfinished elsewhere stays so: its journal is of a transaction to come.
    const bool stays = unfinished_ && unfinished_->interface != interface;
    if (stays) {
        unfinished_->transaction = next.committed + 1;
        if (auto kept = write_journal(*unfinished_); !kept) return kept;
    }
    const int error = kernel_->write_file(manifest_path(), to_text(next));
    if (error != 0) return failure("write " + manifest_path() + ": " + errno_text(error), -error);
    manifest_ = std::move(next);
    journal_stays_ = false;
    if (stays) return {};
    unfinished_.reset();
    // A journal that stays is void all the same: the manifest says that its transaction is whole.
    kernel_->remove_file(journal_path());
    return {};
}

Result<void> Instance::abandon() {
    const int error = kernel_->remove_file(journal_path());
    journal_stays_ = error != 0;
    unfinished_.reset();
    if (error != 0) return failure("remove " + journal_path() + ": " + errno_text(error), -error);
    return {};
}

Result<void> Instance::keep(const std::string& interface, const std::vector<Undo>& undo) {
    unfinished_ = Journal{.boot_id = manifest_.boot_id,
                          .transaction = manifest_.committed + 1,
                          .interface = interface,
                          .undo = undo};
    return write_journal(*unfinished_);
}

Result<void> Instance::write_journal(const Journal& journal) const {
    const std::string text = to_text(journal);
    const int error = kernel_->write_file(journal_path(), text);
    if (error != 0) return failure("write " + journal_path() + ": " + errno_text(error), -error);
    return {};
}

Result<void> Instance::remove() {
    std::error_code error;
    const std::string pins_folder = place_.bpffs + "/" + place_.name;
    const std::string state_folder = place_.state + "/" + place_.name;
    for (const std::string& interface : files_in(pins_folder)) {
        for (const char* folder : {"/programs", "/maps"}) fs::remove(interface + folder, error);
        fs::remove(interface, error);
    }
    fs::remove(pins_folder, error);
    for (const char* file : {"/journal", "/manifest", "/journal.new", "/manifest.new", "/lock"})
        fs::remove(state_folder + file, error);
    fs::remove_all(definitions_folder(), error);
    fs::remove(state_folder, error);
    for (const std::string& folder : {pins_folder, state_folder})
        if (fs::exists(folder, error)) return failure("remove " + folder + ": it is not empty", ENOTEMPTY);
    for (const std::string& shared : {place_.bpffs, place_.state})
        fs::remove(shared, error); // the last instance
    return {};
}

} // namespace homeostat::bpf

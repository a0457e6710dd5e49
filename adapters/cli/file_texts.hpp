// The texts of files, and what kind of file each is.
#pragma once

#include "knowledge/error.hpp"

#include <map>
#include <optional>
#include <string>
#include <string_view>

namespace homeostat::cli {

// Each file is read once, however often it is asked for: what stands in a pipe is gone then.
class FileTexts {
  public:
    // Valid as long as this. Fails with "PATH: WHY".
    const Result<std::string>& read(const std::string& path);

  private:
    std::map<std::string, Result<std::string>> texts_;
};

// One that cannot be read, as a mistake of its own.
Diagnostic unreadable(const std::string& path, const Error& error);

// By its tables; a policy where these tell nothing.
enum class FileKind { config, policy, test };
FileKind kind_of(std::string_view text);

// What to say where the file certainly is of another kind than it was given as.
std::optional<Diagnostic> mistaken_kind(const std::string& path, std::string_view text, FileKind given_as);

// The text of a file that is given as one of this kind; null where it cannot be read or is certainly of
// another kind, which is told then. Valid as long as `texts`.
const std::string* read_as(FileTexts& texts, const std::string& path, FileKind kind,
                           Diagnostics& diagnostics);

} // namespace homeostat::cli

#include "adapters/bpf/datapath/undo.hpp"

#include <gtest/gtest.h>

namespace homeostat::bpf {
namespace {

TEST(Undo, OfEachKindIsReadAsItWasWritten) {
    const Bytes key{std::byte{1}, std::byte{0xab}};
    const std::vector<Undo> all{RestoreEntry{"m", key, std::nullopt, false},
                                RestoreEntry{"m", key, key, true},
                                RestoreXdp{},
                                RestoreXdp{RestoreXdp::Held{"guard@0123", XdpMode::hw}},
                                RestoreForeign{4'294'967'295, XdpMode::drv, false},
                                RestoreForeign{17, XdpMode::skb, true},
                                RestoreTc{TcDirection::ingress, std::nullopt},
                                RestoreTc{TcDirection::egress, RestoreTc::Held{"count@0123", false}},
                                RestoreTc{TcDirection::ingress, RestoreTc::Held{"count@0123", true}},
                                DiscardNextMap{"m"},
                                RestoreMapPins{"m"}};
    std::vector<bool> kinds(std::variant_size_v<Undo>);
    for (const Undo& undo : all) {
        const auto read = read_undo(to_text(undo));
        ASSERT_TRUE(read) << to_text(undo);
        EXPECT_EQ(*read, undo) << to_text(undo);
        EXPECT_EQ(to_text(undo).find('\n'), std::string::npos) << "one line";
        kinds[undo.index()] = true;
    }
    EXPECT_EQ(kinds, std::vector<bool>(kinds.size(), true)) << "a kind is missing here";
}

TEST(Undo, ThatIsNotWholeOrOfAnotherKindIsRefused) {
    for (const char* text :
         {"", "{", "[]", R"({"undo":"map_pins"})", R"({"undo":"something else","map":"m"})",
          R"({"undo":"entry","map":"m","key":"0g"})", R"({"undo":"entry","map":"m","key":"012"})",
          R"({"undo":"entry","map":"m","key":"01","value":"x"})",
          R"({"undo":"xdp","version":"v","mode":"up"})", R"({"undo":"tc","version":"v"})",
          R"({"undo":"tc","direction":"sideways"})",
          R"({"undo":"foreign","program":"17","mode":"skb","link":false})",
          R"({"undo":"foreign","program":17,"mode":"skb"})"})
        EXPECT_FALSE(read_undo(text)) << text;
}

} // namespace
} // namespace homeostat::bpf

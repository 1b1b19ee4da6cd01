#include "frontends/http/browser.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace weir::http {
namespace {

bool Foreign(std::vector<Attribute> headers) {
  RequestHead head;
  head.method = "POST";
  headers.insert(headers.begin(), {"Host", "weir.example:8080"});
  head.headers = std::move(headers);
  return !WhyForeign(head).empty();
}

TEST(Browser, ClientsThatAreNoneAreAnsweredWhateverTheirContentType) {
  EXPECT_FALSE(Foreign({}));
  for (const std::string_view type :
       {"application/json", "application/x-www-form-urlencoded", "text/plain", "multipart/form-data; boundary=x", ""}) {
    EXPECT_FALSE(Foreign({{"Content-Type", type}})) << type;
  }
}

TEST(Browser, PagesOfOtherSitesAreNot) {
  constexpr Attribute kJson = {"content-type", "application/json"};
  for (const std::string_view origin :
       {"http://evil.example", "https://evil.example:8080", "null", "", "http://weir.example",
        "http://weir.example:8081", "http://weir.example:8080.evil.example", "http://evil.example/weir.example:8080",
        "weir.example:8080", "http://", "http://user@weir.example:8080"}) {
    EXPECT_TRUE(Foreign({kJson, {"Origin", origin}})) << origin;
  }
  for (const std::string_view site : {"cross-site", "same-site", "", "anything"}) {
    EXPECT_TRUE(Foreign({kJson, {"Sec-Fetch-Site", site}})) << site;
    EXPECT_TRUE(Foreign({kJson, {"Origin", "http://weir.example:8080"}, {"Sec-Fetch-Site", site}})) << site;
  }
}

TEST(Browser, OwnPagesAreWithJson) {
  const std::vector<std::vector<Attribute>> own = {{{"ORIGIN", "http://weir.example:8080"}},
                                                   {{"Origin", "HTTP://WEIR.example:8080"}},
                                                   {{"sec-fetch-site", "same-origin"}},
                                                   {{"Sec-Fetch-Site", "none"}}};
  for (std::vector<Attribute> headers : own) {
    headers.push_back({"Content-Type", "application/json; charset=utf-8"});
    EXPECT_FALSE(Foreign(headers));
    for (const std::string_view type : {"text/plain", "TEXT/plain; x=application/json", "multipart/form-data ;b=c",
                                        "application/x-www-form-urlencoded", ""}) {
      headers.back().value = type;
      EXPECT_TRUE(Foreign(headers)) << type;
    }
    headers.pop_back();
    EXPECT_TRUE(Foreign(headers)) << "no content type";
  }
}

TEST(Browser, ThePortOfTheSchemeMayBeLeftOut) {
  const auto foreign = [](std::string_view host, std::string_view origin) {
    RequestHead head;
    head.method = "POST";
    head.headers = {{"Host", host}, {"Origin", origin}, {"Content-Type", "application/json"}};
    return !WhyForeign(head).empty();
  };
  EXPECT_FALSE(foreign("w.example:80", "http://w.example"));
  EXPECT_FALSE(foreign("w.example", "https://w.example:443"));
  EXPECT_TRUE(foreign("w.example:80", "https://w.example"));
  EXPECT_FALSE(foreign("[::1]:8080", "http://[::1]:8080"));
  EXPECT_TRUE(foreign("", "http://"));
}

}  // namespace
}  // namespace weir::http

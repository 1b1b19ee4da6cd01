#include "io/https/http_client.h"

#include <utility>

namespace weir::io {

Result<HttpReply> HttpClient::Send(HttpRequest request) {
  if (auto ready = transfer_.Prepare(options_, std::move(request)); !ready) return std::unexpected(ready.error());
  return transfer_.Finish(curl_easy_perform(transfer_.handle()));
}

Result<HttpReply> HttpClient::Stream(HttpRequest request, std::function<bool(std::string_view)> visit,
                                     std::function<bool()> stopped) {
  HttpOptions options = options_;
  options.timeout = 0;
  if (auto ready = transfer_.Prepare(options, std::move(request)); !ready) return std::unexpected(ready.error());
  transfer_.OnBody(std::move(visit));
  transfer_.OnTick(std::move(stopped));
  return transfer_.Finish(curl_easy_perform(transfer_.handle()));
}

}  // namespace weir::io

#include "io/tls_client.h"

#include <openssl/ssl.h>

#include "base/file.h"
#include "io/tls_context.h"

namespace weir::io {

namespace asio = boost::asio;

void TlsClientDeleter::operator()(TlsClient* client) const { delete client; }

Result<TlsClientPtr> MakeTlsClient(const TlsFiles& files) {
  TlsClientPtr tls(new TlsClient);
  asio::ssl::context& context = tls->context;
  SSL_CTX_set_min_proto_version(context.native_handle(), TLS1_2_VERSION);
  context.set_verify_mode(files.verify_peer ? asio::ssl::verify_peer : asio::ssl::verify_none);
  const auto refused = [](const std::string& file, const boost::system::error_code& fault) {
    return Fail(ErrorCode::kInvalidArgument, "cannot use '" + file + "': " + fault.message());
  };
  for (const std::string& file : {files.ca_file, files.certificate_file, files.key_file}) {
    if (file.empty()) continue;
    if (auto checked = CheckRegularFile(file); !checked) {
      return Fail(ErrorCode::kInvalidArgument, checked.error().message);
    }
  }
  boost::system::error_code fault;
  if (files.ca_file.empty()) {
    context.set_default_verify_paths(fault);
    if (fault) return refused("the system's authorities", fault);
  } else if (context.load_verify_file(files.ca_file, fault); fault) {
    return refused(files.ca_file, fault);
  }
  if (files.certificate_file.empty()) return tls;
  if (context.use_certificate_chain_file(files.certificate_file, fault); fault) {
    return refused(files.certificate_file, fault);
  }
  if (context.use_private_key_file(files.key_file, asio::ssl::context::pem, fault); fault) {
    return refused(files.key_file, fault);
  }
  return tls;
}

}  // namespace weir::io

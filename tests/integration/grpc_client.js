// A client of weir on @grpc/grpc-js: node grpc_client.js PROTO_DIRECTORY ADDRESS DOMAIN
// Asks 80 times at once for a descriptor with a limit of its own of 50 a year, and watches the server's health.
const grpc = require('@grpc/grpc-js');
const loader = require('@grpc/proto-loader');

const [proto, address, domain] = process.argv.slice(2);
const load = (file) => grpc.loadPackageDefinition(
  loader.loadSync(file, {includeDirs: [proto], enums: String, keepCase: true}));
const {RateLimitService} = load('envoy/service/ratelimit/v3/rls.proto').envoy.service.ratelimit.v3;
const {Health} = load('grpc/health/v1/health.proto').grpc.health.v1;

const question = {
  domain,
  descriptors: [{entries: [{key: 'client', value: 'node'}], limit: {requests_per_unit: 50, unit: 'YEAR'}}],
};
const limiter = new RateLimitService(address, grpc.credentials.createInsecure());
const ask = () => new Promise((done) => {
  limiter.ShouldRateLimit(question, (error, reply) => done(error ? error.message : reply.overall_code));
});

(async () => {
  const codes = await Promise.all(Array.from({length: 80}, ask));
  const count = (code) => codes.filter((c) => c === code).length;
  console.log(`node passed=${count('OK')} denied=${count('OVER_LIMIT')} failed=${80 - count('OK') - count('OVER_LIMIT')}`);
  const refused = await new Promise((done) => limiter.ShouldRateLimit({domain: ''}, (error) => done(error.code)));
  console.log(`refused ${refused}`);
  const watch = new Health(address, grpc.credentials.createInsecure()).Watch({});
  watch.on('error', () => {}); // our own cancel
  watch.once('data', (reply) => { console.log(`watch ${reply.status}`); watch.cancel(); process.exit(0); });
})();

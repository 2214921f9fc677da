// k6/crypto: hashes.
(function (native) {
  'use strict';

  const hash = (algorithm) => (data, output) => native.hash(algorithm, data, output === undefined ? 'hex' : String(output));

  return {
    sha256: hash('sha256'),
    hmac: (algorithm, key, data, output) =>
      native.hmac(String(algorithm), key, data, output === undefined ? 'hex' : String(output)),
  };
})

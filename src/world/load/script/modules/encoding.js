// k6/encoding: base64.
(function (native) {
  'use strict';

  return {
    b64encode: (data, variant) => native.base64(data, variant === undefined ? 'std' : String(variant)),
    b64decode: (text, variant, format) =>
      native.unbase64(String(text), variant === undefined ? 'std' : String(variant), format === 's'),
  };
})

// k6/data: what all virtual users read.
(function (native, module) {
  'use strict';

  class SharedArray {
    constructor(name, build) {
      if (typeof name !== 'string' || name === '') throw new TypeError('a SharedArray needs a name');
      if (typeof build !== 'function') throw new TypeError('a SharedArray needs a function that makes it');
      let length = native.sharedLength(name);
      if (length < 0) {
        const made = build();
        if (!Array.isArray(made)) throw new TypeError('only arrays can be made into a SharedArray');
        native.share(name, made.map((one) => JSON.stringify(one)));
        length = made.length;
      }
      return new Proxy([], {
        get(target, key) {
          if (key === 'length') return length;
          if (typeof key === 'string' && /^\d+$/.test(key)) {
            const text = native.shared(name, Number(key));
            return text === undefined ? undefined : module('values').freeze(JSON.parse(text));
          }
          return Reflect.get(target, key);
        },
        has: (target, key) => (typeof key === 'string' && /^\d+$/.test(key) ? Number(key) < length : key in target),
        set() {
          throw new TypeError('SharedArray is immutable');
        },
        deleteProperty() {
          throw new TypeError('SharedArray is immutable');
        },
      });
    }
  }

  return { SharedArray };
})

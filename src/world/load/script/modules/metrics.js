// k6/metrics: the metrics of a script.
(function (native) {
  'use strict';

  const metric = (kind) =>
    class {
      constructor(name, isTime) {
        this.name = String(name);
        Object.defineProperty(this, 'index', { value: native.declare(kind, this.name, !!isTime) });
      }
      add(value, tags) {
        const number = value === true ? 1 : value === false ? 0 : Number(value);
        return native.add(this.index, number, tags);
      }
    };

  return {
    Counter: metric('counter'),
    Gauge: metric('gauge'),
    Rate: metric('rate'),
    Trend: metric('trend'),
  };
})

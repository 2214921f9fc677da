// k6/execution: where the run is.
(function (native, module) {
  'use strict';

  const view = (names, prefix) => {
    const object = {};
    for (const name of names) {
      Object.defineProperty(object, name, { enumerable: true, get: () => native.info(prefix + name) });
    }
    return object;
  };

  const tags = new Proxy(
    {},
    {
      get: (_, key) => (typeof key === 'string' ? native.vuTag(key) : undefined),
      set(_, key, value) {
        if (!['string', 'number', 'boolean'].includes(typeof value)) {
          throw new TypeError(`only String, Boolean and Number types are accepted as a tag value`);
        }
        native.setVuTag(String(key), String(value));
        return true;
      },
      deleteProperty(_, key) {
        native.setVuTag(String(key), null);
        return true;
      },
      ownKeys: () => native.vuTags(),
      has: (_, key) => native.vuTags().includes(key),
      getOwnPropertyDescriptor: (_, key) => ({ enumerable: true, configurable: true, value: native.vuTag(key) }),
    },
  );

  const vu = view(['idInInstance', 'idInTest', 'iterationInInstance', 'iterationInScenario'], 'vu.');
  vu.metrics = { tags, metadata: {} };
  vu.tags = tags;
  const test = {
    abort(reason) {
      native.abort(reason === undefined ? 'test aborted' : String(reason));
    },
    fail(reason) {
      native.fail(reason === undefined ? '' : String(reason));
    },
    get options() {
      return module('values').freeze(JSON.parse(native.options()));
    },
  };

  return {
    scenario: view(['name', 'executor', 'startTime', 'progress', 'iterationInInstance', 'iterationInTest'], 'scenario.'),
    instance: view(
      ['iterationsInterrupted', 'iterationsCompleted', 'vusActive', 'vusInitialized', 'currentTestRunDuration'],
      'instance.',
    ),
    test,
    vu,
  };
})

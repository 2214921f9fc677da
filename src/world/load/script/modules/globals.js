// The globals of a script, and k6's modules: each is made when it is first asked for.
(function (native) {
  'use strict';

  const made = {};
  const module = (name) => (made[name] ??= native.module(name, module));

  const show = (value) => {
    if (typeof value === 'string') return value;
    if (value instanceof Error) return String(value);
    if (value !== null && typeof value === 'object') {
      try {
        return JSON.stringify(value);
      } catch (error) {
        return String(value);
      }
    }
    return String(value);
  };
  const logger = (level) => (...values) => native.log(level, values.map(show).join(' '));
  globalThis.console = {
    log: logger('info'),
    info: logger('info'),
    warn: logger('warning'),
    error: logger('error'),
    debug: logger('debug'),
  };
  globalThis.open = (path, mode) => native.open(String(path), mode === undefined ? '' : String(mode));

  // CommonJS.
  const loaded = new Map();
  globalThis.require = (name) => {
    name = String(name);
    if (native.modules.includes(name)) return { ...module(name), default: module(name) };
    const [path, source] = native.source(name);
    if (!loaded.has(path)) {
      const file = { exports: {} };
      loaded.set(path, file);
      native.compile(path, source)(file, file.exports);
    }
    return loaded.get(path).exports;
  };

  return module;
})

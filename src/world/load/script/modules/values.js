// What scripts do with the values of JSON.
(function () {
  'use strict';

  // The steps of a selector: names, indices, `#` for the length or for each element, and `#(key=="value")`.
  function parts(selector) {
    const found = [];
    let part = '';
    let depth = 0;
    for (let i = 0; i < selector.length; i++) {
      const c = selector[i];
      if (c === '\\' && i + 1 < selector.length) {
        part += selector[++i];
      } else if (c === '.' && depth === 0) {
        found.push(part);
        part = '';
      } else {
        if (c === '(') depth++;
        if (c === ')') depth--;
        part += c;
      }
    }
    found.push(part);
    return found;
  }

  function select(value, path) {
    for (let i = 0; i < path.length; i++) {
      const part = path[i];
      if (value === null || typeof value !== 'object') return undefined;
      if (Array.isArray(value) && part.startsWith('#')) {
        const rest = path.slice(i + 1);
        if (part === '#' && rest.length === 0) return value.length;
        const each = (list) => list.map((one) => select(one, rest)).filter((one) => one !== undefined);
        if (part === '#') return each(value);
        const query = /^#\((.*)\)(#?)$/.exec(part);
        if (!query) return undefined;
        const matching = value.filter((one) => matches(one, query[1]));
        if (query[2] === '#') return rest.length === 0 ? matching : each(matching);
        if (matching.length === 0) return undefined;
        value = matching[0];
        continue;
      }
      if (!Object.prototype.hasOwnProperty.call(value, part) || part === 'length') return undefined;
      value = value[part];
    }
    return value;
  }

  function matches(one, query) {
    const found = /^\s*([^=!<>%]*?)\s*(==|!=|<=|>=|=|<|>)\s*(.*)$/.exec(query);
    if (!found) return select(one, parts(query.trim())) !== undefined;
    const left = found[1] === '' ? one : select(one, parts(found[1]));
    let right = found[3].trim();
    if (right.startsWith('"') && right.endsWith('"')) right = right.slice(1, -1);
    else if (right === 'true' || right === 'false') right = right === 'true';
    else if (right !== '' && !Number.isNaN(Number(right))) right = Number(right);
    if (left === undefined || typeof left !== typeof right) return false;
    switch (found[2]) {
      case '=':
      case '==':
        return left === right;
      case '!=':
        return left !== right;
      case '<':
        return left < right;
      case '<=':
        return left <= right;
      case '>':
        return left > right;
      default:
        return left >= right;
    }
  }

  function freeze(value) {
    if (value !== null && typeof value === 'object') {
      Object.values(value).forEach(freeze);
      Object.freeze(value);
    }
    return value;
  }

  return { select: (value, selector) => select(value, parts(selector)), freeze };
})

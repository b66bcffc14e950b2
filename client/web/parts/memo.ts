/** A component that is drawn anew only when a prop is another value. */
import { Component, type ComponentChildren, type FunctionComponent } from 'preact';

export function memo<Props extends object>(draw: FunctionComponent<Props>): FunctionComponent<Props> {
  class Memo extends Component<Props> {
    override shouldComponentUpdate(next: Props): boolean {
      const before: object = this.props;
      const keys = Object.keys(next) as (keyof Props)[];
      return keys.length !== Object.keys(before).length || keys.some((key) => next[key] !== this.props[key]);
    }
    override render(): ComponentChildren {
      return draw(this.props);
    }
  }
  return Memo as unknown as FunctionComponent<Props>;
}

import * as React from 'react';
interface Props { title: string }
/** Shows a title. */
export const Card = (props: Props) => { return <Box title={props.title}><Inner.Item /></Box>; };
export class View extends React.Component<Props> { render() { return <div onClick={handle}>x</div>; } }
